"""The audit of shortcuts: how well facts that are not medicine tell the class, the official split and the fold."""

"""The console script ``medmamba-monai``, one file a command."""

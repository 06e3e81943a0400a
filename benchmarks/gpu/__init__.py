"""Everything that is measured on a machine with a GPU."""

"""Results of a cross-validation and of comparisons."""

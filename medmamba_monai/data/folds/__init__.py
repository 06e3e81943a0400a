"""Folds: made once, saved, and checked whenever they are read."""

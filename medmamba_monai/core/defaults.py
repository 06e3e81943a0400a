"""Defaults that several rooms share, where the command line can read them without loading what uses them."""

RESAMPLES = 2000
"""Resamples of a bootstrap where nobody says how many."""

ROBUSTNESS_IMAGES = 1000
"""Test images that a measurement of robustness judges where nobody says how many; more of them take their time."""

EXPLAINED_IMAGES = 100
"""Images that are explained where nobody says how many."""

NUM_FOLDS = 5
"""Folds of a dataset where nobody says how many."""

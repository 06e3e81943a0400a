"""Weights that a training starts from: which file is meant, what it was trained on, how it fits the network."""

"""Whole slides and other huge pictures: opened, their tissue found, cut into tiles; never decoded as a whole."""

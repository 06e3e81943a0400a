"""Fewer and larger operations for a block of MedMamba, with gradients of their own."""

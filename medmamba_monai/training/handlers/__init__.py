"""Ignite handlers that MONAI lacks, one a file."""

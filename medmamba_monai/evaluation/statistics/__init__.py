"""Intervals, tests and thresholds."""

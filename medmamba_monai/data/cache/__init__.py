"""Decoded images between epochs: in memory or in a memory-mapped file."""

"""A package in other formats, each held to the numbers of the package it came from."""

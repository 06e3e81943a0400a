"""Proposals of a card for images that nobody has described yet."""

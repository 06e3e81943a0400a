"""A card for images that nobody has described yet."""

"""PNG, JPEG, TIFF, BMP, GIF and WebP, through Pillow."""

"""Where the images and labels of a dataset are."""

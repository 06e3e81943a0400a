"""Random transforms of training images, a batch at a time."""

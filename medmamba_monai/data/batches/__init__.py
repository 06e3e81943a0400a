"""From kept images to batches on the device that trains: gathered, converted and augmented at once."""

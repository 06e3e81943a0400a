"""From a folder of images to the best honest classifier within a time: look, plan, race, choose, give."""

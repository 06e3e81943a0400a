"""What networks say of images whose class is not known: probabilities, sets, doubt and reasons, as a table too."""

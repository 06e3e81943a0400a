"""Who is in which fold: made once, saved, and checked whenever they are read."""

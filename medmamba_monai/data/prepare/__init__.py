"""From a dataset to saved folds, with a look at every image on the way."""

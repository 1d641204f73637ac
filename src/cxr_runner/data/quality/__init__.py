"""What is proven to be wrong or doubtful with a data set: said wherever results on it are shown."""

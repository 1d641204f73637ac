"""How large the images are and in which proportions, class by class."""

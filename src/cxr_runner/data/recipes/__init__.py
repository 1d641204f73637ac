"""Recipes: how the public originals of a data set become the images that were used here, and how far they agree."""

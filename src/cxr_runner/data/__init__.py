"""Images: their sources, decoded once into a store, without duplicates, split into train, val and test."""

"""Images: where they come from, decoded once into a store, cleaned of duplicates, split."""

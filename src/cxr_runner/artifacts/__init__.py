"""Names and formats in the outputs tree: run directories, their status, sample images, metrics."""

"""Names and formats of the files in the outputs tree: run directories, their status, sample images, metrics."""

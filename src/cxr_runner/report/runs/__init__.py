"""What is read from the outputs tree: runs, grouped by data set and configuration."""

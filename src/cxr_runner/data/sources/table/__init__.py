"""Images beside a table of labels: rows of text, the columns among them, labels, and the files that they name."""

"""The report as a page, as Markdown, on the terminal."""

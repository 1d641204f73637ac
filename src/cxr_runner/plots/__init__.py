"""Every figure, in one style; without torch."""

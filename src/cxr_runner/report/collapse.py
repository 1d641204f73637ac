"""The table of runs that collapsed, with what was wrong inside them."""

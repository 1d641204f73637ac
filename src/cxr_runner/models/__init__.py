"""The networks: the study's three families, and a modern one to compare with."""

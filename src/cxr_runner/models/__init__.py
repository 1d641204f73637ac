"""The networks: the study's three families and modern yardsticks."""

"""The one loop, the two backends that it trains with, and what is computed of the results: formulas and diagnosis."""

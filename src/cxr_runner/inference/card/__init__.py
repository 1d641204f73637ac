"""The card of a model: what its runs know, and what reporting guidelines ask beyond that, as blanks."""

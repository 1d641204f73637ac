"""The one loop, what it asks of the arithmetic, and the two engines that answer."""

"""Logistic regression: one linear layer that begins at 0, where its solver begins."""

from typing import Any

from torch import nn

from cxr_runner.models.linear import Linear


class Logistic(Linear):
    """Flatten and one linear layer, whose first weights are 0 whatever the seed."""

    def __init__(self, image_size: int) -> None:
        """Build the layer.

        Args:
            image_size: side of the square images, in pixels.
        """
        super().__init__(image_size, layers=1, hidden=1)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    @classmethod
    def from_config(cls, config: Any, image_size: int) -> "Logistic":
        """Build the model of a configuration."""
        return cls(image_size)

    @staticmethod
    def describe(config: Any) -> str:
        """Return the penalty."""
        return "the best L2 penalty of a path" if config.l2 == "path" else f"L2 penalty {config.l2:g}"


MODEL = Logistic

"""The interface of all models."""

from typing import Any, Self

from torch import nn


class Classifier(nn.Module):
    """A model that maps images, float [batch, 1, side, side] in [0, 1], to logits, float [batch].

    ``model=NAME`` chooses the class that the module ``cxr_runner.models.NAME`` calls ``MODEL``. Its configuration is
    the variant of the schema with that name.
    """

    @classmethod
    def from_config(cls, config: Any, image_size: int) -> Self:
        """Build the model with PyTorch's default initial weights.

        Args:
            config: configuration of the model.
            image_size: side of the square images, in pixels.

        Raises:
            UserError: a file that the configuration names cannot be used.
        """
        raise NotImplementedError

    @staticmethod
    def describe(config: Any) -> str:
        """Return the shape of a configuration's model, in a few words; '' where the name suffices."""
        return ""

    def layers_before_relu(self) -> list[str]:
        """Return the names of the layers whose outputs go straight into a ReLU: those that can have dead units."""
        return []

"""The study's linear+ReLU model (its Fig. 7)."""

from itertools import pairwise

from torch import Tensor, nn

from cxr_runner.config.schema import LinearReLUConfig
from cxr_runner.models.classifier import Classifier
from cxr_runner.models.linear import Linear, linear_layers


class LinearReLU(Classifier):
    """Like ``Linear``, with ReLU after every layer, including the last (Fig. 7 of the study)."""

    def __init__(self, image_size: int, layers: int, hidden: int, output_relu: bool = True) -> None:
        """Build the layers.

        Args:
            image_size: side of the square images, in pixels.
            layers: number of linear layers, including the last.
            hidden: number of outputs of every layer but the last.
            output_relu: whether a ReLU follows the last layer, as in the study: then a logit is never negative.
        """
        super().__init__()
        stack: list[nn.Module] = [nn.Flatten()]
        for layer in linear_layers(image_size**2, layers, hidden):
            stack += [layer, nn.ReLU()]
        self.layer_stack = nn.Sequential(*(stack if output_relu else stack[:-1]))

    @classmethod
    def from_config(cls, config: LinearReLUConfig, image_size: int) -> "LinearReLU":
        """Build the model of a configuration."""
        return cls(image_size, config.layers, config.hidden, config.output_relu)

    @staticmethod
    def describe(config: LinearReLUConfig) -> str:
        """Return the number of layers and their width."""
        return Linear.describe(config)

    def layers_before_relu(self) -> list[str]:
        """Return the names of the linear layers; that of the last only where a ReLU follows it."""
        layers = list(self.layer_stack.named_children())
        return [
            f"layer_stack.{name}"
            for (name, layer), (_, following) in pairwise(layers)
            if isinstance(layer, nn.Linear) and isinstance(following, nn.ReLU)
        ]

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [batch, 1, side, side], to logits, float [batch]."""
        logits: Tensor = self.layer_stack(images)
        return logits.squeeze(1)


MODEL = LinearReLU

"""The study's linear model (its Fig. 6)."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from cxr_runner.config.schema import LinearConfig, LinearReLUConfig
from cxr_runner.models.classifier import Classifier

_MOST_INPUTS_AT_ONCE = 4096  # of a wide layer: so many operands stay in the cache


class WideLinear(nn.Linear):
    """A linear layer with very many inputs and few outputs.

    On a CPU it splits the inputs into pieces and adds up one small product a piece, whose operands stay in the cache.
    One long thin product takes about twice the time, forward and backward.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        """Build the layer; its weights are initialized as those of ``nn.Linear``."""
        super().__init__(inputs, outputs)
        sizes = range(min(_MOST_INPUTS_AT_ONCE, inputs), 0, -1)
        self.num_pieces = inputs // next(size for size in sizes if inputs % size == 0)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs, float [batch, in], to float [batch, out]."""
        if inputs.device.type != "cpu":
            return super().forward(inputs)
        pieces = inputs.reshape(len(inputs), self.num_pieces, -1).permute(1, 2, 0)
        weights = self.weight.view(self.out_features, self.num_pieces, -1).transpose(0, 1)
        return torch.bmm(weights, pieces).sum(dim=0).T + self.bias

    def _get_name(self) -> str:
        return "Linear"  # when a model is printed: the pieces are a detail of the computation


class Linear(Classifier):
    """Flatten and ``layers`` linear layers, the last with one output (Fig. 6 of the study)."""

    def __init__(self, image_size: int, layers: int, hidden: int) -> None:
        """Build the layers.

        Args:
            image_size: side of the square images, in pixels.
            layers: number of linear layers, including the last.
            hidden: number of outputs of every layer but the last.
        """
        super().__init__()
        self.layer_stack = nn.Sequential(nn.Flatten(), *linear_layers(image_size**2, layers, hidden))

    @classmethod
    def from_config(cls, config: LinearConfig, image_size: int) -> "Linear":
        """Build the model of a configuration."""
        return cls(image_size, config.layers, config.hidden)

    @staticmethod
    def describe(config: LinearConfig | LinearReLUConfig) -> str:
        """Return the number of layers and their width."""
        return f"{config.layers} layers, {config.hidden} hidden units"

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [batch, 1, side, side], to logits, float [batch]."""
        logits: Tensor = self.layer_stack(images)
        return logits.squeeze(1)


def first_weight(model: nn.Module) -> Tensor:
    """Return the weights of the first layer of a ``Linear`` or ``LinearReLU``.

    Returns:
        float32 [outputs, pixels], on the CPU whatever the device of the model.
    """
    first = model.get_submodule("layer_stack.1")
    assert isinstance(first, nn.Linear)
    return first.weight.detach().cpu()


def linear_layers(inputs: int, layers: int, hidden: int) -> list[nn.Module]:
    """Return the linear layers of a model, the first of them wide."""
    widths = [inputs, *[hidden] * (layers - 1), 1]
    first, *others = pairwise(widths)
    return [WideLinear(*first), *(nn.Linear(before, after) for before, after in others)]


MODEL = Linear

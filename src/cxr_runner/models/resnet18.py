"""Torchvision's ResNet-18, to compare the study's models with."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cxr_runner.base.errors import UserError, user_path
from cxr_runner.base.files import regular
from cxr_runner.config.schema import ResNet18Config
from cxr_runner.models.classifier import Classifier

_KEY = "model.weights"


class ResNet18(Classifier):
    """Torchvision's ResNet-18 with one input channel and one output."""

    def __init__(self) -> None:
        """Build the layers with random weights."""
        super().__init__()
        import torchvision  # here: it takes long to import and no other model needs it

        self.backbone = torchvision.models.resnet18(num_classes=1)
        self.backbone.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)

    @classmethod
    def from_config(cls, config: ResNet18Config, image_size: int) -> "ResNet18":
        """Build the model of a configuration, with the weights of a file where it names one."""
        model = cls()
        if config.weights is not None:
            load_backbone(model, user_path(_KEY, config.weights))
        return model

    @staticmethod
    def describe(config: ResNet18Config) -> str:
        """Return the origin of the initial weights."""
        return f"weights from {config.weights}" if config.weights else "random weights"

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [batch, 1, side, side], to logits, float [batch]."""
        logits: Tensor = self.backbone(images)
        return logits.squeeze(1)


def load_backbone(model: ResNet18, path: Path) -> None:
    """Load weights of torchvision's ResNet-18 from a file; the output layer stays random.

    Args:
        model: model whose weights are replaced.
        path: safetensors file or PyTorch file; a first layer of three channels is summed to one.

    Raises:
        UserError: the file cannot be read or does not fit the model.
    """
    weights = _read_weights(path)
    if not isinstance(weights, dict) or "conv1.weight" not in weights:
        raise UserError.for_key(_KEY, path, "holds no state dict of torchvision's resnet18")
    weights = {name: weight for name, weight in weights.items() if not name.startswith("fc.")}
    if weights["conv1.weight"].shape[1] == 3:  # of a grey image all three channels are the same
        weights["conv1.weight"] = weights["conv1.weight"].sum(dim=1, keepdim=True)
    try:
        unused = model.backbone.load_state_dict(weights, strict=False).unexpected_keys
    except RuntimeError as error:
        raise UserError.for_key(_KEY, path, f"does not fit resnet18 ({_first_line(error)})") from None
    if unused:
        raise UserError.for_key(_KEY, path, f"does not fit resnet18 (unknown weight {unused[0]})")


def _read_weights(path: Path) -> object:
    """Return the content of a file of weights; nothing in it is executed."""
    try:
        regular(path)
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)  # True: no code from the file
    except FileNotFoundError:
        raise UserError.for_key(_KEY, path, "no such file") from None
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, ImportError) as error:
        raise UserError.for_key(_KEY, path, f"cannot be read as weights ({_first_line(error)})") from None
    except Exception as error:  # unpickling a damaged file can raise anything
        raise UserError.for_key(_KEY, path, f"is no file of weights ({type(error).__name__})") from None


def _first_line(error: Exception) -> str:
    """Return the first line of an error's message, or the name of its class."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


MODEL = ResNet18

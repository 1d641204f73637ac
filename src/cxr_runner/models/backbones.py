"""Torchvision's networks, to compare the study's models with."""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cxr_runner.base.errors import UserError, user_path
from cxr_runner.config.schema import AnyModelConfig, ResNet18Config


class ResNet18(nn.Module):
    """Torchvision's ResNet-18 with one input channel and one output."""

    def __init__(self) -> None:
        """Build the layers with random weights."""
        super().__init__()
        import torchvision  # here: it takes long to import and no other model needs it

        self.backbone = torchvision.models.resnet18(num_classes=1)
        self.backbone.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [batch, 1, side, side], to logits, float [batch]."""
        logits: Tensor = self.backbone(images)
        return logits.squeeze(1)


def initial_weights_digest(config: AnyModelConfig) -> str:
    """Return the hex SHA-256 of the file of initial weights; '' for a model whose weights are random."""
    if not isinstance(config, ResNet18Config) or config.weights is None:
        return ""
    with user_path("model.weights", config.weights).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_backbone(model: ResNet18, path: Path) -> None:
    """Load weights of torchvision's ResNet-18 from a file; the output layer stays random.

    Args:
        model: model whose weights are replaced.
        path: safetensors file or PyTorch file; a first layer of three channels is summed to one.

    Raises:
        UserError: the file cannot be read or does not fit the model.
    """
    key = "model.weights"
    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError.for_key(key, path, "no such file") from None
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, ImportError) as error:
        raise UserError.for_key(key, path, f"cannot be read as weights ({_first_line(error)})") from None
    except Exception as error:  # unpickling a damaged file can raise anything
        raise UserError.for_key(key, path, f"is no file of weights ({type(error).__name__})") from None
    if not isinstance(weights, dict) or "conv1.weight" not in weights:
        raise UserError.for_key(key, path, "holds no state dict of torchvision's resnet18")
    weights = {name: weight for name, weight in weights.items() if not name.startswith("fc.")}
    if weights["conv1.weight"].shape[1] == 3:  # of a grey image all three channels are the same
        weights["conv1.weight"] = weights["conv1.weight"].sum(dim=1, keepdim=True)
    try:
        unused = model.backbone.load_state_dict(weights, strict=False).unexpected_keys
    except RuntimeError as error:
        raise UserError.for_key(key, path, f"does not fit resnet18 ({_first_line(error)})") from None
    if unused:
        raise UserError.for_key(key, path, f"does not fit resnet18 (unknown weight {unused[0]})")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__

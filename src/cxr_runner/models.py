"""The study's three families of models, layer for layer, and one modern yardstick.

Every model maps images, float [batch, 1, side, side] in [0, 1], to logits, float [batch].
"""

import hashlib
from itertools import pairwise
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import relu

from cxr_runner.config import AnyModelConfig, CNNConfig, LinearConfig, LinearReLUConfig, ResNet18Config
from cxr_runner.errors import UserError, user_path

_MOST_INPUTS_AT_ONCE = 4096  # of a wide layer


class WideLinear(nn.Linear):
    """A linear layer of few outputs on very many inputs.

    On a CPU the sums over the inputs are formed piece by piece, as a batch of products whose operands stay in the
    cache: of one long thin product, forward and backward, the kernels make about half the speed.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        """Build the layer; its weights are drawn as those of ``nn.Linear``."""
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
        return "Linear"  # in print-outs of a model, since it is nothing else


class ConvBlock(nn.Sequential):
    """Conv-ReLU-conv-ReLU-maxpool, as the study draws it."""

    def __init__(self, inputs: int, filters: int, kernel_size: int) -> None:
        """Build the layers; images keep their size up to the pooling, which halves it."""
        super().__init__(
            nn.Conv2d(inputs, filters, kernel_size, padding=kernel_size // 2),
            nn.ReLU(),
            nn.Conv2d(filters, filters, kernel_size, padding=kernel_size // 2),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [batch, inputs, side, side], to float [batch, filters, side / 2, side / 2].

        The second ReLU comes after the pooling, where it has a quarter of the work: both are monotone, so that
        outputs and gradients are the same to the bit. In place, because no convolution needs its output again.
        """
        first, _, second, _, pool = self
        features: Tensor = relu(pool(second(relu(first(images), inplace=True))), inplace=True)
        return features


class Linear(nn.Module):
    """Flatten and ``layers`` linear layers, the last with one output (Fig. 6 of the study)."""

    def __init__(self, image_size: int, layers: int, hidden: int) -> None:
        """Build the layers.

        Args:
            image_size: side of the square images, in pixels.
            layers: number of linear layers, the last one included.
            hidden: outputs of every layer but the last.
        """
        super().__init__()
        self.layer_stack = nn.Sequential(nn.Flatten(), *_linear_layers(image_size**2, layers, hidden))

    def forward(self, images: Tensor) -> Tensor:
        """Map images to logits."""
        logits: Tensor = self.layer_stack(images)
        return logits.squeeze(1)


class LinearReLU(nn.Module):
    """As :class:`Linear`, with ReLU after every layer, the last included (Fig. 7 of the study)."""

    def __init__(self, image_size: int, layers: int, hidden: int, output_relu: bool = True) -> None:
        """Build the layers.

        Args:
            image_size: side of the square images, in pixels.
            layers: number of linear layers, the last one included.
            hidden: outputs of every layer but the last.
            output_relu: False leaves out the ReLU after the last layer, which the study has: with it a logit is
                never negative.
        """
        super().__init__()
        stack: list[nn.Module] = [nn.Flatten()]
        for layer in _linear_layers(image_size**2, layers, hidden):
            stack += [layer, nn.ReLU()]
        self.layer_stack = nn.Sequential(*(stack if output_relu else stack[:-1]))

    def forward(self, images: Tensor) -> Tensor:
        """Map images to logits."""
        logits: Tensor = self.layer_stack(images)
        return logits.squeeze(1)


class CNN(nn.Module):
    """Two blocks of conv-ReLU-conv-ReLU-maxpool, then one linear layer (Fig. 8 of the study)."""

    def __init__(self, image_size: int, hidden: int, kernel_size: int) -> None:
        """Build the layers.

        Args:
            image_size: side of the square images, in pixels.
            hidden: filters of every convolution.
            kernel_size: side of the filters, odd; images are padded so that they keep their size.
        """
        super().__init__()
        self.block_1 = ConvBlock(1, hidden, kernel_size)
        self.block_2 = ConvBlock(hidden, hidden, kernel_size)
        side = image_size // 2 // 2
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(hidden * side**2, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Map images to logits."""
        logits: Tensor = self.classifier(self.block_2(self.block_1(images)))
        return logits.squeeze(1)


class ResNet18(nn.Module):
    """Torchvision's ResNet-18 with one input channel and one output."""

    def __init__(self) -> None:
        """Build the layers; weights are random."""
        super().__init__()
        import torchvision  # here, because it takes long to import and no other model needs it

        self.backbone = torchvision.models.resnet18(num_classes=1)
        self.backbone.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images to logits."""
        logits: Tensor = self.backbone(images)
        return logits.squeeze(1)


def build_model(config: AnyModelConfig, image_size: int, seed: int) -> nn.Module:
    """Build a model with PyTorch's default initial weights, drawn on the CPU whatever the device will be.

    Args:
        config: which model.
        image_size: side of the square images, in pixels.
        seed: of the initial weights; the CPU's global random state is left as it was.

    Raises:
        UserError: the file of weights cannot be used.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model = _build(config, image_size)
        except (MemoryError, RuntimeError):  # torch has no class of its own for what does not fit
            valid = f"at data.image_size={image_size} the model does not fit into this machine's memory"
            raise UserError.for_key("model", config.name, valid) from None
    if isinstance(config, ResNet18Config) and config.weights is not None:
        assert isinstance(model, ResNet18)
        _load_backbone(model, user_path("model.weights", config.weights))
    return model


def initial_weights_digest(config: AnyModelConfig) -> str:
    """Return the hex SHA-256 of the file of initial weights, '' for a model that starts at random."""
    if not isinstance(config, ResNet18Config) or config.weights is None:
        return ""
    with user_path("model.weights", config.weights).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def first_weight(model: nn.Module) -> Tensor:
    """Return the weights of the first layer of a :class:`Linear` or :class:`LinearReLU`.

    Returns:
        float32 [outputs, pixels], on the CPU wherever the model is.
    """
    assert isinstance(model, Linear | LinearReLU)
    first = model.layer_stack[1]
    assert isinstance(first, nn.Linear)
    return first.weight.detach().cpu()


def rectified_layers(model: nn.Module) -> list[str]:
    """Return the names of the layers whose outputs go straight into a ReLU."""
    if isinstance(model, LinearReLU):
        layers = list(model.layer_stack.named_children())
        return [
            f"layer_stack.{name}"
            for (name, layer), (_, following) in pairwise(layers)
            if isinstance(layer, nn.Linear) and isinstance(following, nn.ReLU)
        ]
    if isinstance(model, CNN):
        return [name for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)]
    return []  # in ResNet-18 batch norm comes between


def describe_model(config: AnyModelConfig, model: nn.Module) -> str:
    """Say in a few words which model it is and how many parameters it has."""
    match config:
        case CNNConfig():
            shape = f", {config.hidden} filters {config.kernel_size}x{config.kernel_size}"
        case LinearConfig() | LinearReLUConfig():
            shape = f", {config.layers} layers, {config.hidden} hidden units"
        case ResNet18Config():
            shape = f", weights from {config.weights}" if config.weights else ", random weights"
    return f"{config.name}{shape}, {sum(p.numel() for p in model.parameters()):,} parameters"


def _build(config: AnyModelConfig, image_size: int) -> nn.Module:
    match config:
        case LinearConfig():
            return Linear(image_size, config.layers, config.hidden)
        case LinearReLUConfig():
            return LinearReLU(image_size, config.layers, config.hidden, config.output_relu)
        case CNNConfig():
            return CNN(image_size, config.hidden, config.kernel_size)
        case ResNet18Config():
            return ResNet18()


def _linear_layers(inputs: int, layers: int, hidden: int) -> list[nn.Module]:
    widths = [inputs, *[hidden] * (layers - 1), 1]
    first, *others = pairwise(widths)
    return [WideLinear(*first), *(nn.Linear(before, after) for before, after in others)]


def _load_backbone(model: ResNet18, path: Path) -> None:
    """Load weights of torchvision's ResNet-18, adapting the three-channel input; the output layer stays random."""
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
    except Exception as error:  # unpickling garbage raises anything
        raise UserError.for_key(key, path, f"is no file of weights ({type(error).__name__})") from None
    if not isinstance(weights, dict) or "conv1.weight" not in weights:
        raise UserError.for_key(key, path, "holds no state dict of torchvision's resnet18")
    weights = {name: weight for name, weight in weights.items() if not name.startswith("fc.")}
    if weights["conv1.weight"].shape[1] == 3:  # grey in all three channels gives the same sum
        weights["conv1.weight"] = weights["conv1.weight"].sum(dim=1, keepdim=True)
    try:
        unused = model.backbone.load_state_dict(weights, strict=False).unexpected_keys
    except RuntimeError as error:
        raise UserError.for_key(key, path, f"does not fit resnet18 ({_first_line(error)})") from None
    if unused:
        raise UserError.for_key(key, path, f"does not fit resnet18 (unknown weight {unused[0]})")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__

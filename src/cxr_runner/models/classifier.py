"""The interface of all models."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from cxr_runner.base.errors import UserError, user_path

_TELLING = 64  # numbers at the beginning of weights, by which different ones are told apart at once


class Classifier(nn.Module):
    """A model that maps images, float [batch, 1, side, side] in [0, 1], to logits, float [batch].

    ``model=NAME`` chooses the class that the module ``cxr_runner.models.NAME`` calls ``MODEL``. Its configuration is
    the variant of the schema with that name.

    Attributes:
        inside: what the names of all weights begin with.
        head: name of the last layer, a ``Linear`` with one output, which is the logit; '' where there is none.
        frozen: whether nothing but the last layer is trained.
        draws: whether it may draw random numbers when it is trained, as dropout does.
        channels_last: whether its layers take images in that memory format, in which convolutions are faster on a CPU.
        notes: what there is to say of the weights that it starts from.
    """

    inside = ""
    head = ""
    frozen = False
    draws = False
    channels_last = True
    notes: Sequence[str] = ()

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

    @classmethod
    def complete(cls, config: Any) -> Any:
        """Return a configuration with what is looked up before a run is planned, and belongs to its identity."""
        return config

    @classmethod
    def weights_file(cls, config: Any) -> Path | None:
        """Return the file of weights that a configuration names, directly or by a run's directory; None for none.

        Raises:
            UserError: the directory holds no weights.
        """
        given = getattr(config, "weights", None)
        if given is None or not (path := user_path("model.weights", given)).is_dir():
            return None if given is None else path
        if (path / "model.safetensors").is_file():
            return path / "model.safetensors"
        compact = (path / "gram.safetensors").is_file()
        why = "is a run with save=compact, without weights" if compact else "is no run, which has a model.safetensors"
        raise UserError.for_key("model.weights", given, f"{why}; name OUTPUTS/runs/NAME-ID/seed=0, or a file")

    @staticmethod
    def describe(config: Any) -> str:
        """Return the shape of a configuration's model, in a few words; '' where the name suffices."""
        return ""

    def check(self, config: Any, image_size: int) -> None:
        """Try what is not known before: whether the model takes such images and can be trained.

        Args:
            config: configuration of the model.
            image_size: side of the square images, in pixels.

        Raises:
            UserError: it does not, or cannot.
        """

    def compile_kernels(self) -> None:
        """Compile what :meth:`forward_natively` needs, unless that was done before.

        Raises:
            CompilerError: this machine has no compiler, or it refuses.
        """

    def forward_natively(self, images: Tensor) -> Tensor:
        """Map images as :meth:`forward` does, on the CPU in float32, by kernels compiled for it, to rounding the same.

        Models without such kernels have nothing faster than :meth:`forward`.
        """
        logits: Tensor = self(images)
        return logits

    def layers_before_relu(self) -> list[str]:
        """Return the names of the layers whose outputs go straight into a ReLU: those that can have dead units."""
        return []

    def last_layer(self) -> nn.Linear:
        """Return the layer that :attr:`head` names."""
        layer = self.get_submodule(self.head)
        assert isinstance(layer, nn.Linear)
        return layer

    def freeze(self) -> None:
        """Have nothing but the last layer trained."""
        self.requires_grad_(False)
        self.last_layer().requires_grad_(True)
        self.frozen = True

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Return what goes into the last layer, float [batch, features].

        Args:
            images: float [batch, 1, side, side] in [0, 1], on the device of the model, which is in evaluation mode.

        Raises:
            LookupError: the last layer is not called, or more than once.
        """
        seen: list[Tensor] = []
        hook = self.last_layer().register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
        try:
            self(images)
        finally:
            hook.remove()
        if len(seen) != 1:
            raise LookupError(f"it computes its last layer {len(seen)} times, and not once")
        return seen[0]


class LinearHead(nn.Module):
    """The last layer of a frozen model, which it shares: maps features, float [batch, features], to logits."""

    def __init__(self, model: Classifier) -> None:
        """Take the layer."""
        super().__init__()
        self.layer_stack = nn.Sequential(nn.Flatten(), model.last_layer())

    def forward(self, features: Tensor) -> Tensor:
        """Return logits, float [batch]."""
        logits: Tensor = self.layer_stack(features)
        return logits.squeeze(1)


def trained_part(model: nn.Module) -> nn.Module:
    """Return what training changes of a model: the last layer of a frozen one, otherwise all of it."""
    return LinearHead(model) if isinstance(model, Classifier) and model.frozen else model


def share_equal_weights(models: Sequence[nn.Module]) -> None:
    """Have models keep equal weights in one place, which must not be changed there; buffers stay as they are.

    First layers that are drawn from one seed are equal whatever follows them, and so are layers that stay frozen.
    """
    distinct: dict[object, list[Tensor]] = {}
    for value in (value for model in models for value in model.parameters()):
        beginning = tuple(value.detach().flatten()[:_TELLING].tolist())
        alike = distinct.setdefault((value.shape, value.dtype, beginning), [])
        same = next((other for other in alike if torch.equal(other, value.data)), None)
        if same is None:
            alike.append(value.data)
        else:
            value.data = same

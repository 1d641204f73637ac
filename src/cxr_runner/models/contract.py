"""What is asked of every network that was not written here, tried before anything is trained."""

import importlib
import traceback
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.parameter import UninitializedParameter

from cxr_runner.base.errors import UserError
from cxr_runner.models.classifier import Classifier

_TOLERANCE = 1e-3  # of a logit, relative to 1 + the largest: what may depend on how many images are computed at once
# Folders of code whose lines say nothing to the user.
_NOT_THEIRS = tuple(map(str, (Path(torch.__file__).parent, Path(importlib.__file__).parent, Path(__file__).parents[1])))
Refuse = Callable[[str], UserError]


def check_contract(model: Classifier, image_size: int, refuse: Refuse) -> None:
    """Try a network: images, float32 [n, 1, side, side] in [0, 1], to logits, float32 [n], in training and out of it.

    It stays as it is.

    Args:
        model: with its initial weights, on the CPU.
        image_size: side of the square images, in pixels.
        refuse: makes an error of what is wrong.

    Raises:
        UserError: images are not mapped to finite logits, one an image; the logit of an image depends on the other
            images; no gradient reaches a parameter; or weights cannot be written.
    """
    parameters = list(model.parameters())
    if any(isinstance(parameter, UninitializedParameter) for parameter in parameters):
        raise refuse("has lazy layers, whose weights are not there yet: give them their numbers of inputs")
    if not any(parameter.requires_grad for parameter in parameters):
        raise refuse("has no parameter that could be trained")
    tried = _tried(lambda: deepcopy(model), refuse, "copied")
    _check_state(tried, refuse)
    images = torch.rand(3, 1, image_size, image_size)
    with torch.no_grad():
        together = _logits(tried.eval(), images, refuse)
        alone = _logits(tried, images[:1], refuse)
    if not (together[:1] - alone).abs().max() <= _TOLERANCE * (1 + together.abs().max()):
        raise refuse("gives an image another logit when others are in the batch with it, also in eval mode")
    if model.frozen:
        _check_head(tried, images, together, refuse)
    logits = _logits(tried.train(), images[:2], refuse)
    if not logits.requires_grad:
        raise refuse("gives logits that no gradient passes, perhaps for a .detach() or .item() in it")
    loss = binary_cross_entropy_with_logits(logits, torch.tensor([0.0, 1.0]))
    _tried(lambda: torch.autograd.backward(loss), refuse, "trained")
    if all(parameter.grad is None for parameter in tried.parameters()):
        raise refuse("has no parameter that a gradient of its logits reaches")


def trains_on_one(model: Classifier, image_size: int) -> bool:
    """Whether a model can be trained on a batch of one image: batch norm of a single number cannot.

    Args:
        model: stays as it is.
        image_size: side of the square images, in pixels.
    """
    if not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.modules()):
        return True
    try:
        with torch.no_grad():
            deepcopy(model).train()(torch.rand(1, 1, image_size, image_size))
    except ValueError:
        return False
    return True


def lines_of_others(error: BaseException) -> list[str]:
    """Return where an error went through code that is neither this package's nor torch's, the innermost last."""
    frames = [] if isinstance(error, SyntaxError) else traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(("<", *_NOT_THEIRS))]
    return [f"{frame.filename}, line {frame.lineno}" for frame in theirs]


def raised(error: BaseException) -> str:
    """Say what code of others has raised, and where, in one line."""
    words = str(error).strip().splitlines()
    where = f" ({lines[-1]})" if (lines := lines_of_others(error)) else ""
    return f"raises {type(error).__name__}{f': {words[0]}' if words else ''}{where}"


def _logits(model: Classifier, images: Tensor, refuse: Refuse) -> Tensor:
    shape = f"images of {list(images.shape)}"
    logits = _tried(lambda: model(images.clone()), refuse, f"given {shape}")
    if not isinstance(logits, Tensor):
        raise refuse(f"makes a {type(logits).__name__} of {shape}, and not a tensor of logits")
    if logits.shape != images.shape[:1]:
        way_out = "; .squeeze(1) at its end makes one of them" if list(logits.shape) == [len(images), 1] else ""
        raise refuse(f"makes {list(logits.shape)} of {shape}, and not [{len(images)}]: one logit an image{way_out}")
    if logits.dtype != torch.float32:
        raise refuse(f"gives logits of {logits.dtype}, and not of torch.float32")
    if not logits.isfinite().all():
        raise refuse("gives logits that are not finite, before any training")
    return logits


def _check_head(model: Classifier, images: Tensor, logits: Tensor, refuse: Refuse) -> None:
    """Check that the last layer, on what goes into it, gives the logits."""
    layer = model.last_layer()
    features = _tried(lambda: model.features(images), refuse, "asked for features")
    if features.shape != (len(images), layer.in_features):
        shapes = f"{list(features.shape)}, and not {[len(images), layer.in_features]}"
        raise refuse(f"cannot be frozen: what goes into its last layer, {model.head}, is {shapes}")
    if not torch.equal(layer(features).squeeze(1), logits):
        raise refuse(f"cannot be frozen: its logits are not what its last layer, {model.head}, gives")


def _check_state(model: Classifier, refuse: Refuse) -> None:
    """Check that everything that the network keeps can be written: tensors, shared ones too."""
    state: dict[str, Any] = model.state_dict()
    if others := [name for name, value in state.items() if not isinstance(value, Tensor)]:
        raise refuse(f"keeps what is no tensor in its state_dict: {others[0]}")
    copies = {name: value.detach().clone().contiguous() for name, value in state.items()}
    _tried(lambda: save(copies), refuse, "written")


def _tried(work: Callable[[], Any], refuse: Refuse, done: str) -> Any:
    try:
        return work()
    except MemoryError:
        raise
    except Exception as error:  # code of others may raise anything
        raise refuse(f"{raised(error)} when it is {done}") from None

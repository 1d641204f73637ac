"""Weights that a model starts from: those of a run, of torchvision, of a Lightning checkpoint, of any state dict."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from cxr_runner.base.errors import UserError
from cxr_runner.base.files import regular
from cxr_runner.base.numbers import list_few
from cxr_runner.config.schema import CustomConfig, ResNet18Config, TorchvisionConfig
from cxr_runner.models.classifier import Classifier

KEY = "model.weights"
_WRAPPED = ("state_dict", "model_state_dict", "model")  # where training programs keep a state dict among other things
_COUNTER = "num_batches_tracked"  # of batch norm, which takes no part in what is computed; older files lack it

Weights = dict[str, Tensor]


def describe_start(config: ResNet18Config | TorchvisionConfig | CustomConfig) -> str:
    """Return in a few words what weights a model starts from, and whether all are trained."""
    origin = f"weights from {config.weights}" if config.weights else "random weights"
    return f"{origin}, frozen but for the last layer" if config.freeze else origin


def read_weights(path: Path) -> Weights:
    """Return the tensors of a file by their names; nothing in it is executed.

    Args:
        path: a safetensors file, or one that ``torch.save`` has written, a Lightning checkpoint for example.

    Raises:
        UserError: it cannot be read, or holds no tensors by names.
    """
    content = _read(path)
    for key in _WRAPPED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    named = content.items() if isinstance(content, Mapping) else ()
    weights = {name: value for name, value in named if isinstance(name, str) and isinstance(value, Tensor)}
    if not weights:
        raise UserError.for_key(KEY, path, "holds no state dict, tensors by their names")
    return weights


def start_from(model: Classifier, weights: Weights, path: Path, beyond: Iterable[str] = ()) -> None:
    """Have a model start from weights; what there is to say of it goes to its notes.

    The names may have a prefix, as in a Lightning checkpoint. The last layer stays as it is where the weights have none
    or one of another shape; nothing else may be missing.

    Args:
        model: the model.
        weights: tensors by name.
        path: file that they come from.
        beyond: beginnings of names, without prefix, that the model does without.

    Raises:
        UserError: they do not fit the model.
    """
    own = {name.removeprefix(model.inside): value for name, value in model.state_dict().items()}
    head = model.head.removeprefix(model.inside)
    prefix = _find_prefix(weights, own)
    given = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    given = {name: value for name, value in given.items() if not name.startswith(tuple(beyond))}
    of_head = [name for name in own if head and name.rpartition(".")[0] == head]
    head_fits = bool(of_head) and all(name in given and given[name].shape == own[name].shape for name in of_head)
    taken = {name: value for name, value in given.items() if head_fits or name not in of_head}
    _check_names(taken, [name for name in own if head_fits or name not in of_head], path)
    for name, value in taken.items():
        if value.shape != own[name].shape:
            shapes = f"{list(value.shape)} and not {list(own[name].shape)}"
            raise UserError.for_key(KEY, path, f"does not fit the model: {name} is {shapes}")
    model.load_state_dict({f"{model.inside}{name}": value for name, value in taken.items()}, strict=False)
    model.notes = [*model.notes, _say(path, prefix if prefix != model.inside else "", head_fits, head, given)]


def _check_names(taken: Weights, needed: list[str], path: Path) -> None:
    missing = [name for name in needed if name not in taken and not name.endswith(_COUNTER)]
    if len(missing) == len([name for name in needed if not name.endswith(_COUNTER)]):
        there = list_few(list(taken), most=3)
        raise UserError.for_key(
            KEY, path, f"is of another model: it holds {there}, needed is {list_few(needed, most=3)}"
        )
    if missing:
        raise UserError.for_key(KEY, path, f"lacks {len(missing)} weights of the model: {list_few(missing)}")
    if unknown := sorted(taken.keys() - set(needed)):
        raise UserError.for_key(KEY, path, f"does not fit the model: unknown weight {list_few(unknown)}")


def _say(path: Path, prefix: str, head_fits: bool, head: str, given: Weights) -> str:
    parts = [f"weights: from {path}"]
    if prefix:
        parts.append(f"their names without {prefix}")
    if head and not head_fits:
        there = given.get(f"{head}.weight")
        why = "which they lack" if there is None else f"which has the shape {list(there.shape)} there"
        parts.append(f"but for the last layer, {head}, {why}")
    return ", ".join(parts)


def _find_prefix(weights: Weights, own: Weights) -> str:
    """Return what names of weights begin with before those of a model; the shortest that most of them have."""
    counts: Counter[str] = Counter()
    for name in weights:
        parts = name.split(".")
        for start in range(len(parts)):
            if ".".join(parts[start:]) in own:
                counts["".join(f"{part}." for part in parts[:start])] += 1
    return min(counts, key=lambda prefix: (-counts[prefix], len(prefix)), default="")


def _read(path: Path) -> object:
    """Return the content of a file of weights."""
    try:
        regular(path)
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)  # True: no code from the file
    except FileNotFoundError:
        raise UserError.for_key(KEY, path, "no such file") from None
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, ImportError) as error:
        raise UserError.for_key(KEY, path, f"cannot be read as weights ({_first_line(error)})") from None
    except Exception as error:  # unpickling a damaged file can raise anything
        why = f"is no file of weights, or one that takes running code to read ({type(error).__name__})"
        raise UserError.for_key(KEY, path, why) from None


def _first_line(error: Exception) -> str:
    """Return the first line of an error's message, or the name of its class."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__

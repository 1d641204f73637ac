"""A network of the user's: a class, or a function that makes one, named by its module and its own name."""

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from cxr_runner.base.checksums import digest_of_file
from cxr_runner.base.errors import UserError
from cxr_runner.config.schema import CustomConfig
from cxr_runner.models.classifier import Classifier
from cxr_runner.models.contract import check_contract, raised
from cxr_runner.models.initial_weights import describe_start, read_weights, start_from

_KEY = "model.target"
_DIGITS = 16
_imported: dict[Path, str] = {}  # digests of files when their classes were first asked for in this process


class CustomModel(Classifier):
    """A network of the user's, whose weights have ``network.`` before their names."""

    inside, draws = "network.", True
    channels_last = False  # it may contain .view(), which takes memory as it was written for

    def __init__(self, network: nn.Module, head: str | None) -> None:
        """Take over the network.

        Args:
            network: maps images, float [batch, 1, side, side] in [0, 1], to logits, float [batch].
            head: name of its last layer in it; None where that is of no concern.
        """
        super().__init__()
        self.network = network
        self.head = f"{self.inside}{head}" if head else ""

    @classmethod
    def from_config(cls, config: CustomConfig, image_size: int) -> "CustomModel":
        """Build the network of a configuration; the file of its class must be the one that it names."""
        with _working_directory_first():
            make = _find(config.target)
            source, path = _digest(make, config.target)
            if config.source not in (None, source):
                why = f"{path} has changed: its digest is {source} and not {config.source}, as it was"
                raise UserError.for_key(_KEY, config.target, f"{why}; put that file back")
            model = cls(_make(make, config, image_size), config.head)
        if config.head:
            _check_is_linear(model, config.head)
        if weights := cls.weights_file(config):
            start_from(model, read_weights(weights), weights)
        return model

    @classmethod
    def complete(cls, config: CustomConfig) -> CustomConfig:
        """Return the configuration with the digest of the file that defines the class."""
        if config.source is not None:
            return config
        with _working_directory_first():
            return replace(config, source=_digest(_find(config.target), config.target)[0])

    @staticmethod
    def describe(config: CustomConfig) -> str:
        """Return the class, its arguments and the origin of the initial weights."""
        arguments = ", ".join(f"{name}={value}" for name, value in config.arguments.items())
        return f"{config.target}({arguments}), {describe_start(config)}"

    def check(self, config: CustomConfig, image_size: int) -> None:
        """Try whether the class does what is asked of it."""
        check_contract(self, image_size, partial(UserError.for_key, _KEY, config.target))

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [batch, 1, side, side], to logits, float [batch]."""
        logits: Tensor = self.network(images)
        return logits


def _find(target: str) -> Callable[..., Any]:
    """Import what a target names."""
    module_name, _, name = target.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), *name.split("."))):
        valid = "must be package.module:Class, e.g. mynet:Net for the class Net in mynet.py"
        raise UserError.for_key(_KEY, target, valid)
    found: Any = _import(module_name, target)
    for part in name.split("."):
        if not hasattr(found, part):
            near = get_close_matches(part, [one for one in dir(found) if not one.startswith("_")], n=3)
            meant = f"; did you mean {', '.join(near)}?" if near else ""
            raise UserError.for_key(_KEY, target, f"{module_name} has no {part}{meant}")
        found = getattr(found, part)
    if not callable(found):
        raise UserError.for_key(_KEY, target, f"{name} is a {type(found).__name__} and no class")
    return found  # type: ignore[no-any-return]


def _import(name: str, target: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            where = f"neither in the working directory, {Path.cwd()}, nor installed"
            raise UserError.for_key(_KEY, target, f"there is no module {error.name}, {where}") from None
        raise UserError.for_key(_KEY, target, f"importing {name} {raised(error)}") from None
    except (Exception, SystemExit) as error:  # code of others may raise anything
        raise UserError.for_key(_KEY, target, f"importing {name} {raised(error)}") from None


def _digest(make: Callable[..., Any], target: str) -> tuple[str, Path]:
    """Return the digest of the file that defines a class, and the file.

    Raises:
        UserError: there is none, or it is no longer what this process has imported.
    """
    try:
        path = Path(inspect.getsourcefile(inspect.unwrap(make)) or "")
        digest = digest_of_file(path)[:_DIGITS]
    except (TypeError, OSError):
        raise UserError.for_key(_KEY, target, "has no source file that could be read") from None
    if _imported.setdefault(path, digest) != digest:
        why = f"{path} has changed since this process has imported it; start Python anew"
        raise UserError.for_key(_KEY, target, why)
    return digest, path


def _make(make: Callable[..., Any], config: CustomConfig, image_size: int) -> nn.Module:
    """Call a class with its arguments."""
    arguments: dict[str, Any] = dict(config.arguments)
    try:
        signature = inspect.signature(make)
        if "image_size" in signature.parameters:
            arguments.setdefault("image_size", image_size)
        signature.bind(**arguments)
    except TypeError as error:
        raise UserError.for_key("model.arguments", config.arguments, f"{error}; {config.target}{signature}") from None
    try:
        network = make(**arguments)
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:  # code of others may raise anything
        raise UserError.for_key(_KEY, config.target, f"{raised(error)} when it is made") from None
    if not isinstance(network, nn.Module):
        raise UserError.for_key(_KEY, config.target, f"is a {type(network).__name__} and no torch.nn.Module")
    return network


def _check_is_linear(model: CustomModel, head: str) -> None:
    layers = dict(model.network.named_modules())
    linear = [name for name, one in layers.items() if isinstance(one, nn.Linear) and one.out_features == 1]
    if head not in linear or layers[head].bias is None:
        valid = f"valid are {', '.join(linear)}" if linear else "it has none"
        raise UserError.for_key("model.head", head, f"must be a Linear with one output and a bias; {valid}")


@contextmanager
def _working_directory_first() -> Iterator[None]:
    """Look for modules in the working directory too, as Python does, for as long as a class is imported and made."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)


MODEL = CustomModel

"""Builds and describes models by their name in the configuration.

There is no table of names: ``model=cnn`` is ``MODEL`` in ``cxr_runner.models.cnn``, which is imported only then.
"""

from importlib import import_module

import torch
from torch import nn

from cxr_runner.base.checksums import digest_of_file
from cxr_runner.base.errors import UserError
from cxr_runner.config.schema import AnyModelConfig
from cxr_runner.models.classifier import Classifier
from cxr_runner.models.contract import trains_on_one


def build_model(config: AnyModelConfig, image_size: int, seed: int) -> Classifier:
    """Build a model with PyTorch's default initial weights, drawn on the CPU whatever the device will be.

    Args:
        config: configuration of the model.
        image_size: side of the square images, in pixels.
        seed: seed of the initial weights; the CPU's global random state does not change.

    Raises:
        UserError: the file of weights cannot be used.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model = model_class(config.name).from_config(config, image_size)
        except (MemoryError, RuntimeError):  # torch raises a plain RuntimeError when memory runs out
            valid = f"at data.image_size={image_size} the model does not fit into this machine's memory"
            raise UserError.for_key("model", config.name, valid) from None
    if getattr(config, "freeze", None):
        model.freeze()
    return model


def try_model(config: AnyModelConfig, image_size: int) -> None:
    """Build a model, and try whether it takes such images and can be trained.

    Args:
        config: configuration of the model.
        image_size: side of the square images, in pixels.

    Raises:
        UserError: it cannot be built, or not be used.
    """
    model = build_model(config, image_size, seed=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.check(config, image_size)


def refuse_batches_of_one(config: AnyModelConfig, image_size: int, batch_size: int) -> None:
    """Refuse batches of one image for a model that cannot be trained on them.

    Args:
        config: configuration of the model.
        image_size: side of the square images, in pixels.
        batch_size: with which the last batch of an epoch has one image.

    Raises:
        UserError: it cannot.
    """
    if not trains_on_one(build_model(config, image_size, seed=0), image_size):
        valid = f"leaves a batch of one image, on which batch norm at data.image_size={image_size} cannot be trained"
        raise UserError.for_key("batch_size", batch_size, f"{valid}; another number, or larger images, can")


def complete_config(config: AnyModelConfig) -> AnyModelConfig:
    """Return a configuration with what is looked up before a run is planned, and belongs to its identity.

    Raises:
        UserError: it is not to be found.
    """
    completed: AnyModelConfig = model_class(config.name).complete(config)
    return completed


def model_class(name: str) -> type[Classifier]:
    """Return the class of a model.

    Args:
        name: name of the model in the configuration, e.g. ``cnn``.

    Raises:
        ModuleNotFoundError: there is no module of that name.
    """
    model: type[Classifier] = import_module(f"cxr_runner.models.{name}").MODEL
    return model


def initial_weights_digest(config: AnyModelConfig) -> str:
    """Return the hex SHA-256 of the file of initial weights; '' for a model whose weights are random."""
    path = model_class(config.name).weights_file(config)
    return digest_of_file(path) if path else ""


def rectified_layers(model: nn.Module) -> list[str]:
    """Return the names of the layers whose outputs go straight into a ReLU: those that can have dead units."""
    return model.layers_before_relu() if isinstance(model, Classifier) else []


def describe_model(config: AnyModelConfig, model: nn.Module) -> str:
    """Return the model's name, shape and number of parameters, in a few words."""
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    words = (config.name, model_class(config.name).describe(config), f"{num_parameters:,} parameters")
    return ", ".join(filter(None, words))

"""Weights of a run that keeps them as coefficients of its training images (``save=compact``), with these at hand."""

import torch
from torch import Tensor

from cxr_runner.artifacts.rundir import Run, RunDir
from cxr_runner.base.errors import UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.config.schema import AnyModelConfig, SGDConfig
from cxr_runner.config.stored import read_data_config
from cxr_runner.data.dataset import open_images, open_intact, split_images
from cxr_runner.models.build import build_model
from cxr_runner.models.linear import Linear
from cxr_runner.models.linear_relu import LinearReLU
from cxr_runner.training.gram.final_state import read_final_state
from cxr_runner.training.gram.products import StoreProducts
from cxr_runner.training.gram.space import GramSpace
from cxr_runner.training.gram.steps import GramBackend


def weights_of_coefficients(run: Run, config: AnyModelConfig) -> dict[str, Tensor]:
    """Return the weights that the run would have written with ``save=full``, under the plain names of the module.

    Args:
        run: finished, with ``gram.safetensors``.
        config: configuration of its model.

    Raises:
        UserError: its images are not to be had here, or are others now.
        OSError: its coefficients cannot be read.
        ValueError: they are damaged.
    """
    state, facts = read_final_state(RunDir(run.path))
    data = read_data_config(run.config)
    dataset = split_images(open_intact(open_images(data, Reporter()), Reporter()), data, Reporter())
    if dataset.fingerprint != run.metrics.get("data_fingerprint"):
        raise UserError("its images, which give its weights back, have changed since")
    model = build_model(config, data.image_size, facts["seed"])
    assert isinstance(model, Linear | LinearReLU)
    products = StoreProducts(dataset.images, dataset.store, torch.device("cpu"), Reporter(), pixel_engine=False)
    space = GramSpace(products, dataset)
    backend = GramBackend(space, [model], [SGDConfig("sgd", 0.0, 0.0, False, 0.0, None)], [None])
    backend.restore(0, state["trained"])  # velocities are no part of the weights
    return backend.weights([0])[0]

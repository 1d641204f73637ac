"""Products of features: with them the last layer of a frozen model is trained as a first layer is on pixels.

What a frozen model's other layers make of an image never changes: it is computed once for all images of a store and
kept beside it, for all seeds, folds and settings. The last layer is linear in it, so that its weights stay in the span
of the training images' features, ``W = c W0 + A F``, just as those of a first layer stay in that of their pixels.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxr_runner.base.checksums import append_checksum, digest, has_checksum
from cxr_runner.base.files import replacing
from cxr_runner.base.locks import locked_folder
from cxr_runner.base.progress import Reporter
from cxr_runner.config.schema import CustomConfig, ResNet18Config, TorchvisionConfig
from cxr_runner.models.classifier import Classifier
from cxr_runner.training.devices import moved, on_one_thread
from cxr_runner.training.pixel import PixelFeed

if TYPE_CHECKING:  # it is handed layers
    from cxr_runner.training.gram.space import FirstLayer

_PIXELS_AT_ONCE = 2**21  # of a batch: 41 images of 224x224


class FeatureProducts:
    """The images of a store as a frozen model's last layer sees them, known by their inner products.

    Attributes:
        matrix: float64 [stored images, stored images], inner products of features.
        features: float64 [stored images, features]; numbers of float32.
        device: where training computes.
    """

    unit = 1.0

    def __init__(self, features: Tensor, device: torch.device) -> None:
        """Multiply features, on one thread: the same bits on any number of cores.

        Args:
            features: float32 [stored images, features], on the CPU.
            device: where to train; it must know float64.
        """
        self.features, self.device = features.double(), device
        with on_one_thread():
            self.matrix = self.features @ self.features.T

    def start(self, weight: Tensor) -> Tensor:
        """Return features times weights: float64 [stored images, outputs], of weights, float32 [outputs, features]."""
        with on_one_thread():
            return self.features @ weight.double().T

    def materialise(self, rows: Tensor, layers: Sequence["FirstLayer"], dtype: torch.dtype) -> list[Tensor]:
        """Return ``W = c W0 + A F``; see :class:`~cxr_runner.training.gram.space.Products`."""
        chosen = self.features[rows]
        with on_one_thread():  # one layer at a time, whose bits must not depend on the others
            moves = [layer.coordinates[:, : len(rows)].cpu() @ chosen for layer in layers]
        starts = [layer.start_weight.double() * layer.decay for layer in layers]
        return [(start + move).to(dtype) for start, move in zip(starts, moves, strict=True)]


def open_features(
    model: Classifier,
    config: ResNet18Config | TorchvisionConfig | CustomConfig,
    images: NDArray[np.uint8],
    store: Path,
    device: torch.device,
    reporter: Reporter,
) -> Tensor:
    """Return the features of all images of a store; they are computed once and kept beside it.

    Args:
        model: with the weights that stay.
        config: its configuration.
        images: uint8 [stored images, side, side].
        store: the store's folder for what is computed from its images.
        device: where to compute them.
        reporter: shown the progress.

    Returns:
        float32 [stored images, features], on the CPU.
    """
    key = _fingerprint(model, config, device)
    path = store / "features" / f"{key}.npy"
    with suppress(OSError, ValueError, EOFError):
        if has_checksum(path, key):
            kept = np.load(path)
            if kept.dtype == np.float32 and kept.shape == (len(images), model.last_layer().in_features):
                return torch.from_numpy(kept)
    features = _compute(model, images, device, reporter)
    with suppress(OSError), locked_folder(path.parent, reporter), replacing(path) as temporary:  # else: once more
        np.save(temporary, features.numpy())
        append_checksum(temporary, key)
    return features


def _fingerprint(
    model: Classifier, config: ResNet18Config | TorchvisionConfig | CustomConfig, device: torch.device
) -> str:
    """Return a name for features: of the model, of every weight that stays, and of the kind of device, which rounds."""
    parts = [json.dumps(asdict(replace(config, weights=None, freeze=None)), sort_keys=True), device.type]
    for name, value in model.state_dict().items():
        if name.rpartition(".")[0] != model.head:
            parts += [name, digest(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)]
    return digest("\n".join(parts), 32)


def _compute(model: Classifier, images: NDArray[np.uint8], device: torch.device, reporter: Reporter) -> Tensor:
    side, feed = images.shape[1], PixelFeed(images, device)
    batches = torch.arange(len(images)).split(max(1, _PIXELS_AT_ONCE // side**2))  # type: ignore[no-untyped-call]
    # As in training: float32 on a GPU means float32, not TF32, and the same bits every time.
    exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    with moved(model.eval(), device), exact, reporter.steps("features of images", len(batches)) as advance:
        pieces = []
        for batch in batches:
            pieces.append(model.features(feed.batch(batch)).cpu())
            advance()
    return torch.cat(pieces)

"""A model made of one finished run or of several: what :func:`cxr_runner.load` returns."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor, nn

from cxr_runner.artifacts.hub_file import is_hub
from cxr_runner.artifacts.operating_file import ModelPoint, read_point
from cxr_runner.base.errors import UserError
from cxr_runner.base.numbers import list_few
from cxr_runner.base.progress import Reporter
from cxr_runner.base.threads import in_threads
from cxr_runner.inference.hub_parts import parts_of_hub
from cxr_runner.inference.image_input import Asked, Given, Prepared, find_images, in_chunks, prepare
from cxr_runner.inference.loaded_run import find_seeds, read_loaded_run
from cxr_runner.inference.model_parts import ModelParts
from cxr_runner.inference.networks import Ensemble, join
from cxr_runner.inference.run_parts import parts_of_runs
from cxr_runner.training.devices import choose_device

_PIXELS_AT_ONCE = 2**23  # of a batch: 20 images of 640x640
_DECODED_AT_ONCE = 2**27  # bytes of decoded images that are in memory


class LoadedModel:
    """A model and all that is needed to use it as it was trained; several runs are an ensemble, by their mean logit.

    Attributes:
        module: maps images, float32 [batch, 1, side, side] in [0, 1], to logits, float32 [batch]; of one run the
            network itself.
        class_names: names of the negative and the positive class.
        image_size: side of the images, in pixels.
        point: threshold and calibration: an image is positive above the threshold of its logit.
        members: its networks, one a run.
        ensemble: the same as ``module``, which also gives the logits of each member.
        parts: where all this comes from.
    """

    def __init__(self, parts: ModelParts, device: str = "cpu", point: ModelPoint | None = None) -> None:
        """Put a model together.

        Args:
            parts: what it is made of.
            device: where it computes.
            point: threshold and calibration; None takes what was chosen for it.

        Raises:
            UserError: there is no such device, or what was chosen is not of this model.
        """
        self.parts, self.members = parts, parts.members
        self.class_names, self.image_size = parts.class_names, parts.preparation.side
        self.point: ModelPoint = point or read_point(parts.folder, self.weights)
        self._device = choose_device(device)
        self.ensemble: Ensemble = join(parts.members).eval().to(self._device)
        self.module: nn.Module = self.members[0].network if len(self.members) == 1 else self.ensemble

    @property
    def threshold(self) -> float:
        """The logit above which an image is positive."""
        return self.point.threshold

    @property
    def weights(self) -> dict[str, str]:
        """Checksum of the weights of each run, by its name, id and seed."""
        return {member.key: member.weights for member in self.members}

    @property
    def blank(self) -> NDArray[np.uint8]:
        """A black image, in the place of one that cannot be read."""
        return np.zeros((self.image_size, self.image_size), np.uint8)

    def preprocess(self, images: Given | Sequence[Given]) -> Tensor:
        """Read images as in training: grey, stretched to a square, scaled to [0, 1].

        Args:
            images: one or several files, folders, tables that name images, or arrays [height, width] of uint8, of
                uint16, or of floats from 0, black, to 1, white.

        Returns:
            float32 [images, 1, side, side], on the device of the model.

        Raises:
            UserError: there is no such file, or an image cannot be read.
        """
        squares = [one.square for chunk in self.read(_readable(find_images(images))) for one in _good(chunk)]
        return self._scaled(np.stack(squares))

    def predict(self, images: Given | Sequence[Given]) -> pd.DataFrame:
        """Predict images.

        Args:
            images: as of :meth:`preprocess`.

        Returns:
            One row an image: ``name``; ``logit``, of several runs their mean; ``probability``; ``decision``, the name
            of a class; of several runs ``spread``, the standard deviation of their logits.

        Raises:
            UserError: there is no such file, or an image cannot be read.
        """
        parts = []
        for chunk in self.read(_readable(find_images(images))):
            good = _good(chunk)
            logits = self.member_logits(np.stack([one.square for one in good]))
            parts.append(self.answers([one.name for one in good], logits))
        return pd.concat(parts, ignore_index=True)

    def read(self, asked: Asked, reporter: Reporter | None = None) -> Iterator[list[Prepared]]:
        """Yield images, read on all cores and some at a time; those that cannot be read say why."""
        size = max(1, _DECODED_AT_ONCE // self.image_size**2)

        def one(number: int) -> Prepared:
            return prepare(part.names[number], part.images[number], self.parts.preparation)

        with (reporter or Reporter()).steps("reading images", len(asked.images)) as advance:
            for part in in_chunks(asked, size):
                yield list(in_threads(one, range(len(part.images)), "", Reporter()))
                for _ in part.images:
                    advance()

    @torch.no_grad()
    def member_logits(self, squares: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the logits that each run gives images.

        Args:
            squares: uint8 [images, side, side].

        Returns:
            float64 [images, runs].
        """
        size = max(1, _PIXELS_AT_ONCE // self.image_size**2)
        pieces = [squares[start : start + size] for start in range(0, len(squares), size)]
        # As in training: float32 on a GPU means float32, not TF32, and the same bits every time.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            logits = [self.ensemble.member_logits(self._scaled(piece)).cpu() for piece in pieces]
        return np.asarray(torch.cat(logits).double().numpy())

    def answers(self, names: Sequence[str], logits: NDArray[np.float64]) -> pd.DataFrame:
        """Return what :meth:`predict` does of logits, float [images, runs]."""
        mean = logits.mean(axis=1)
        columns: dict[str, Any] = {
            "name": list(names),
            "logit": mean,
            "probability": self.probabilities(mean),
            "decision": np.array(self.class_names)[(mean > self.threshold).astype(int)],
        }
        if len(self.members) > 1:
            columns["spread"] = logits.std(axis=1, ddof=1)
        return pd.DataFrame(columns)

    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities of logits, calibrated where the model is."""
        return np.asarray(expit(self.point.slope * logits + self.point.intercept))

    def _scaled(self, squares: NDArray[np.uint8]) -> Tensor:
        images = torch.from_numpy(np.ascontiguousarray(squares)).to(self._device)
        return images[:, None].float().div_(255)


def load_model(
    run: Path | str | Sequence[Path | str], device: str = "cpu", point: ModelPoint | None = None, *, trust: bool = False
) -> LoadedModel:
    """Load the model of runs; see :func:`cxr_runner.load`.

    Args:
        run: one or several directories of runs, or a folder that was handed on.
        device: where the model computes.
        point: threshold and calibration; None takes what was chosen for these runs.
        trust: whether code that a run names may be run.
    """
    several = [run] if isinstance(run, str | Path) else list(run)
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise UserError.for_key("device", device, "valid are auto, cpu, cuda, cuda:N and mps")
    if not several:
        raise UserError("run: none is given")
    handed_on = [Path(one) for one in several if is_hub(Path(one))]
    if handed_on and len(several) > 1:
        raise UserError.for_key("run", handed_on[0], "a folder that was handed on is a model of its own, give it alone")
    if handed_on:
        return LoadedModel(parts_of_hub(handed_on[0].resolve(), trust=trust), device, point)
    paths = list(dict.fromkeys(path for one in several for path in find_seeds(one)))
    return LoadedModel(parts_of_runs([read_loaded_run(path, trust=trust) for path in paths]), device, point)


def _readable(asked: Asked) -> Asked:
    if asked.missing:
        raise UserError.for_key("images", asked.missing[0][0], asked.missing[0][1])
    return asked


def _good(chunk: Sequence[Prepared]) -> Sequence[Prepared]:
    if bad := [f"{one.name} ({one.error})" for one in chunk if one.error]:
        raise UserError(f"images: {list_few(bad, '; ')}")
    return chunk

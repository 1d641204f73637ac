"""A model from run directories: the runs must fit together, and say between them what a model is made of."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from cxr_runner.artifacts.operating_file import model_folder
from cxr_runner.base.errors import UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.data.image_set import Images
from cxr_runner.inference.image_input import Preparation
from cxr_runner.inference.loaded_run import LoadedRun
from cxr_runner.inference.model_parts import MemberNetwork, ModelParts
from cxr_runner.inference.run_data import open_run_data
from cxr_runner.inference.scored_images import ScoredImages, score_images
from cxr_runner.inference.training_images import TrainingImages, look_at

_TOLD = ("title", "citation", "licence", "synthetic")  # of data.json


def parts_of_runs(runs: Sequence[LoadedRun]) -> ModelParts:
    """Return the parts of the model that runs are.

    Args:
        runs: at least one; of several the mean logit counts.

    Raises:
        UserError: they have other classes, another size of images, or other images.
    """
    _check_fit(runs)
    first = runs[0]
    data = first.run.data
    trained_on: dict[str, Any] = {key: data.get(key, "") for key in _TOLD}
    trained_on["fingerprints"] = sorted({str(run.run.metrics.get("data_fingerprint", "")) for run in runs})
    return ModelParts(
        members=tuple(MemberNetwork(run.key, run.model, run.network, run.weights, run.bf16) for run in runs),
        class_names=first.class_names,
        preparation=Preparation(first.image_size, first.bits, first.dicom),
        folder=model_folder([run.run.path for run in runs]),
        trained_on=trained_on,
        held_out=partial(held_out, runs),
        training_images=partial(find_training_images, runs),
        runs=tuple(runs),
    )


def held_out(runs: Sequence[LoadedRun], split: str) -> ScoredImages:
    """Return the images of a split with the mean logit of the runs that have them in it.

    Runs on one split agree on its images, and the mean is that of the ensemble. Of folds, each image is judged by the
    runs that have not seen it: by fewer than judge a foreign image.

    Args:
        runs: runs of one model.
        split: ``val`` or ``test``.

    Raises:
        UserError: predictions of a run cannot be read, or runs disagree on a label.
    """
    tables = [table[table["split"] == split] for table in (run.predictions() for run in runs)]
    groups = pd.concat(tables).groupby("name", sort=True)
    labels = groups["label"]
    if (labels.min() != labels.max()).any():
        raise UserError.for_key("run", runs[0].run.path.parent, "the runs disagree on the label of an image")
    patients = groups["patient"].first()
    return score_images(labels.first().to_numpy(np.int64), groups["logit"].mean().to_numpy(np.float64), patients)


def find_training_images(runs: Sequence[LoadedRun], reporter: Reporter) -> TrainingImages | str:
    """Look at the images that runs were trained on.

    Args:
        runs: runs of one model.
        reporter: shows the progress of decoding them, where they are not in the cache.

    Returns:
        What they look like; where they are not to be had here, or have changed, the reason.
    """
    opened = open_run_data(runs, reporter)
    if isinstance(opened, str):
        return opened
    parts: dict[int, tuple[Images, set[int]]] = {}  # several only where runs read the same images in several ways
    for one in opened:
        _, rows = parts.setdefault(id(one.images), (one.images, set()))
        rows |= {row for split in ("train", "val") for row in one.dataset.rows(split).tolist()}
    return look_at([(images, np.array(sorted(rows))) for images, rows in parts.values()], reporter)


def _check_fit(runs: Sequence[LoadedRun]) -> None:
    first = runs[0]
    expected = _facts(first)
    for run in runs[1:]:
        for what, fact in _facts(run).items():
            if fact != expected[what]:
                valid = f"has other {what} than {first.run.path}, {fact} and not {expected[what]}"
                raise UserError.for_key("run", run.run.path, f"{valid}: the runs of an ensemble must fit together")


def _facts(run: LoadedRun) -> dict[str, str]:
    """Return what the runs of an ensemble have in common."""
    classes, size = " and ".join(run.class_names), f"{run.image_size}x{run.image_size} pixels"
    return {"classes": classes, "images": size, "training images": run.source}

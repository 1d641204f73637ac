"""A model on labelled images of another place: what it says of them, and how that compares with its own test images."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from cxr_runner.artifacts.evaluation_file import EVALUATION_FORMAT
from cxr_runner.base.checked_json import json_ready
from cxr_runner.base.errors import UserError
from cxr_runner.data.image_set import Images
from cxr_runner.data.sources import data_heading
from cxr_runner.inference.class_map import map_classes
from cxr_runner.inference.comparison_rows import choose_points, compare_sides, curves_of, say_verdict
from cxr_runner.inference.data_input import StoredInput
from cxr_runner.inference.familiarity import NOT_COMPARED, describe_familiarity
from cxr_runner.inference.loaded_model import LoadedModel
from cxr_runner.inference.predicted_images import predict_images
from cxr_runner.inference.scored_images import ScoredImages, score_images
from cxr_runner.inference.side_metrics import Side
from cxr_runner.inference.subgroup_rows import subgroup_rows
from cxr_runner.inference.training_images import NEAR, SAME, TrainingImages

_LEAST = 5  # images of each class, below which no metric says anything


@dataclass(frozen=True, eq=False)
class ExternalEvaluation:
    """What an evaluation leaves.

    Attributes:
        predictions: one row an image: ``name``, ``patient``, ``label``, what
            :func:`~cxr_runner.inference.predicted_images.predict_images` returns, ``counted``, and the subgroups.
        content: the content of ``evaluation.json``.
    """

    predictions: pd.DataFrame
    content: dict[str, Any]


def evaluate_external(
    model: LoadedModel, images: Images, given: Sequence[str], training: TrainingImages | str, name: str
) -> ExternalEvaluation:
    """Evaluate a model on foreign images; those that it was trained on do not count.

    Args:
        model: the model.
        images: labelled images, of the size of the model's.
        given: ``FOREIGN=OWN``, names of classes.
        training: the images of the training; why they are not known otherwise.
        name: name of the evaluation.

    Raises:
        UserError: the classes do not fit, too few images of a class remain, or the runs cannot be compared with.
    """
    foreign = images.store.class_names
    exchanged = map_classes(foreign, model.class_names, given)
    predictions = _predict(model, images, training, exchanged=exchanged)
    counted = predictions[predictions["counted"]]
    overlap = predictions["overlap"].tolist() if "overlap" in predictions else []
    outside = score_images(counted["label"].to_numpy(np.int64), counted["logit"].to_numpy(), counted["patient"])
    inside, val = (model.parts.held_out(split) for split in ("test", "val"))
    _check_enough(outside, model.class_names)
    points = choose_points(model.point, val)
    sides = Side(inside, model.point, seed=1), Side(outside, model.point, seed=0)
    rows = compare_sides(*sides, points)
    groups, tests = subgroup_rows(outside, counted[list(images.subgroups)], model.threshold)
    content = {
        "format": EVALUATION_FORMAT,
        "name": name,
        "version": version("cxr-runner"),
        "synthetic": images.about.synthetic,
        "data": _describe_data(images, model, exchanged=exchanged),
        "model": _describe_model(model),
        "excluded": {kind: overlap.count(kind) for kind in (SAME, NEAR)},
        "familiarity": [NOT_COMPARED] if isinstance(training, str) else describe_familiarity(predictions),
        "inside": inside.count(),
        "outside": outside.count(),
        "thresholds": points,
        "metrics": rows,
        "verdict": say_verdict(rows, model.class_names),
        "subgroups": groups,
        "tests": tests,
        "curves": curves_of(*sides),
    }
    return ExternalEvaluation(predictions, json_ready(content))


def _predict(model: LoadedModel, images: Images, training: TrainingImages | str, *, exchanged: bool) -> pd.DataFrame:
    known = None if isinstance(training, str) else training
    said = predict_images(model, StoredInput(images.store, images.table).chunks(), known).drop(columns="error")
    labels = images.table["label"].to_numpy(np.int64)
    said.insert(1, "patient", images.table["patient"].to_numpy())
    said.insert(2, "label", 1 - labels if exchanged else labels)
    said["counted"] = said["overlap"] == "" if known else True
    return pd.concat([said, images.subgroups.reset_index(drop=True)], axis=1)


def _check_enough(images: ScoredImages, class_names: tuple[str, str]) -> None:
    for label, name in enumerate(class_names):
        if (number := int((images.labels == label).sum())) < _LEAST:
            valid = (
                f"{number} images of {name} remain, at least {_LEAST} are needed; those of the training do not count"
            )
            raise UserError(f"evaluate: {valid}")


def _describe_data(images: Images, model: LoadedModel, *, exchanged: bool) -> dict[str, Any]:
    own = model.class_names[::-1] if exchanged else model.class_names
    return {
        "title": data_heading(images.about),
        "citation": images.about.citation,
        "licence": images.about.licence,
        "fingerprint": images.fingerprint,
        "images": len(images.table),
        "classes": dict(zip(images.store.class_names, own, strict=True)),
        "duplicates_dropped": len(images.duplicates),
        "unreadable_skipped": len(images.unreadable),
    }


def _describe_model(model: LoadedModel) -> dict[str, Any]:
    return {
        "runs": [member.key for member in model.members],
        "trained_on": str(model.parts.trained_on["title"]),
        "class_names": list(model.class_names),
        "image_size": model.image_size,
        **{f"point_{name}": value for name, value in vars(model.point).items()},
    }

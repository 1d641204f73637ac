"""An explanation in numbers: what ``explanation.json`` holds, and the tables beside it."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cxr_runner.artifacts.explanation_file import EXPLANATION_FORMAT
from cxr_runner.base.checked_json import json_ready
from cxr_runner.inference.explain.explanation import ExplainedImage, Explanation
from cxr_runner.inference.explain.network_maps import STEPS
from cxr_runner.inference.explain.weight_pictures import region_areas, region_shares

if TYPE_CHECKING:  # it is handed a model, it loads none
    from cxr_runner.inference.loaded_model import LoadedModel

_WITHHELD = "there are no coefficients, or no images to them"  # what is wrong with images may name some
SHOWN = 10  # training images that push up, and as many that push down


def explanation_content(
    explained: Explanation, model: "LoadedModel", audits: Sequence[Mapping[str, Any]], *, hidden: bool
) -> dict[str, Any]:
    """Return the content of ``explanation.json``.

    Args:
        explained: what was explained.
        model: the model.
        audits: what audits of the same images say of shortcuts.
        hidden: whether no image is named.
    """
    images = [_image(number, one, model, hidden=hidden) for number, one in enumerate(explained.images, 1)]
    return {
        "format": EXPLANATION_FORMAT,
        "version": version("cxr-runner"),
        "model": {
            "runs": [member.key for member in model.members],
            "weights": model.weights,
            "trained_on": str(model.parts.trained_on["title"]),
            "citation": str(model.parts.trained_on["citation"]),
            "synthetic": bool(model.parts.trained_on["synthetic"]),
            "class_names": list(model.class_names),
            "image_size": model.image_size,
            "threshold": model.threshold,
            "shared_seeds": len({member.key.rpartition("/")[2] for member in model.members}) < len(model.members),
        },
        "names_hidden": hidden,
        "begins_at": "the mean training image" if explained.from_mean else "a black image",
        "steps": STEPS,
        "areas": region_areas(model.image_size),
        "weights": json_ready(explained.weights.describe()) if explained.weights else None,
        "audits": list(audits),
        "no_influences": _WITHHELD if hidden and explained.no_influences else explained.no_influences,
        "images": json_ready(images),
    }


def _image(number: int, one: ExplainedImage, model: "LoadedModel", *, hidden: bool) -> dict[str, Any]:
    asked, label = one.asked, one.asked.label
    return {
        "number": number,
        "name": f"image {number}" if hidden else asked.name,
        "class": None if label is None else model.class_names[label],
        "why": asked.why,
        "runs": [model.members[member].key for member in asked.members],
        "logit": one.logit,
        "decision": model.class_names[int(one.logit > model.threshold)],
        "begin_logit": one.attribution.start,
        "completeness_error": one.attribution.error,
        "regions": region_shares([one.attribution.picture]),
        "focus": None if one.focus is None else {"kind": one.focus_kind, "regions": region_shares([one.focus])},
        "training": _training(one, hidden=hidden),
    }


def _training(one: ExplainedImage, *, hidden: bool) -> dict[str, Any] | None:
    influences = one.influences
    if influences is None:
        return None
    up, down = strongest(one)
    names = [f"training image {row + 1}" for row in range(len(influences.names))] if hidden else influences.names
    listed = {
        side: [
            {"name": str(names[row]), "label": int(influences.labels[row]), "push": float(influences.pushes[row])}
            for row in rows
        ]
        for side, rows in (("up", up), ("down", down))
    }
    pushes = influences.pushes
    return {
        "images": len(pushes),
        "mean": influences.mean,
        "start": influences.start,
        "common": influences.common,
        "up_sum": float(pushes[pushes > 0].sum()),
        "down_sum": float(pushes[pushes < 0].sum()),
        "sum": influences.total,
        "sum_minus_logit": influences.total - influences.logit,
        "rounding_of_weights": one.logit - influences.logit,
        **listed,
    }


def strongest(one: ExplainedImage) -> tuple[list[int], list[int]]:
    """Return the rows of the training images that push a logit up most, and of those that push it down most."""
    assert one.influences is not None
    pushes = one.influences.pushes
    order = np.argsort(-pushes, kind="stable")
    up = [int(row) for row in order[:SHOWN] if pushes[row] > 0]
    return up, [int(row) for row in order[::-1][:SHOWN] if pushes[row] < 0]


def contribution_table(explained: Explanation, *, hidden: bool) -> pd.DataFrame:
    """Return every term of every logit that training images stand behind.

    Returns:
        One row for each training image of each explained image: ``image``, its number; ``training_image``; ``label``;
        ``push``, both images measured from the mean training image; ``from_black``, both from a black image.
    """
    parts = []
    for number, one in enumerate(explained.images, 1):
        if one.influences is not None:
            influences = one.influences
            rows = [f"training image {row + 1}" for row in range(len(influences.names))]
            columns = {"training_image": rows if hidden else influences.names, "label": influences.labels}
            terms = {"push": influences.pushes, "from_black": influences.from_black}
            parts.append(pd.DataFrame({"image": number, **columns, **terms}))
    return pd.concat(parts, ignore_index=True)


def image_table(content: Mapping[str, Any]) -> pd.DataFrame:
    """Return the numbers of the explained images, one row each."""
    return pd.DataFrame(
        [
            {
                **{key: one[key] for key in ("number", "name", "class", "why", "logit", "decision")},
                **{key: one[key] for key in ("begin_logit", "completeness_error")},
                **{f"share_in_{name}": share for name, share in one["regions"].items()},
            }
            for one in content["images"]
        ]
    )

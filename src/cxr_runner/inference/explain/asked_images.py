"""The images whose logits are explained: those that somebody names, else some of the test split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.base.errors import UserError
from cxr_runner.base.numbers import list_few
from cxr_runner.base.progress import Reporter
from cxr_runner.inference.image_input import Given, find_images

if TYPE_CHECKING:  # it is handed a model, it loads none
    from cxr_runner.inference.loaded_model import LoadedModel
    from cxr_runner.inference.run_data import RunData

MOST_ASKED = 20  # images: each has pictures of its own
_ERRORS = 3
GIVEN, WRONG, RIGHT = "given", "most wrong", "most certain of those right"


@dataclass(frozen=True, eq=False)
class AskedImage:
    """An image whose logit is explained.

    Attributes:
        name: its name.
        square: uint8 [side, side].
        label: 0 or 1; None where it is not known.
        why: why it is explained.
        members: which of the model's runs are asked: of a test image those that have not seen it.
    """

    name: str
    square: NDArray[np.uint8]
    label: int | None
    why: str
    members: tuple[int, ...]


def images_of_files(model: "LoadedModel", given: Sequence[Given], reporter: Reporter) -> list[AskedImage]:
    """Read images that somebody names.

    Raises:
        UserError: there is no such file, there are too many, or one cannot be read.
    """
    asked = find_images(given)
    if asked.missing:
        raise UserError.for_key("images", asked.missing[0][0], asked.missing[0][1])
    if len(asked.images) > MOST_ASKED:
        raise UserError(f"images: {len(asked.images):,} are given, at most {MOST_ASKED} are explained at once")
    images = [one for chunk in model.read(asked, reporter) for one in chunk]
    if bad := [f"{one.name} ({one.error})" for one in images if one.error]:
        raise UserError(f"images: {list_few(bad, '; ')}")
    everyone = tuple(range(len(model.members)))
    return [AskedImage(one.name, one.square, None, GIVEN, everyone) for one in images]


def images_of_test(model: "LoadedModel", data: "Sequence[RunData]") -> list[AskedImage]:
    """Choose test images: the three that the model gets most wrong, and of each class the most certain right one.

    Args:
        model: a model of runs.
        data: their images.
    """
    tables = [run.predictions().assign(run=number) for number, run in enumerate(model.parts.runs)]
    together = pd.concat(tables).query("split == 'test'").groupby("name", sort=True)
    table = together.agg(label=("label", "first"), logit=("logit", "mean"), members=("run", tuple))
    margins = (table["logit"] - model.threshold) * np.where(table["label"] == 1, 1, -1)
    # A logit at the threshold is negative: right for label 0.
    wrong = (margins < 0) | ((margins == 0) & (table["label"] == 1))
    errors = margins[wrong].sort_values(kind="stable").index[:_ERRORS]
    certain = [margins[~wrong & (table["label"] == label)].sort_values(kind="stable").index[-1:] for label in (1, 0)]
    chosen = [(str(name), WRONG) for name in errors] + [(str(name), RIGHT) for index in certain for name in index]
    rows: dict[str, Any] = {str(name): row for name, row in table.to_dict("index").items()}
    return [_stored(name, why, rows[name], data) for name, why in chosen]


def _stored(name: str, why: str, row: Mapping[str, Any], data: "Sequence[RunData]") -> AskedImage:
    members: tuple[int, ...] = row["members"]
    dataset = data[members[0]].dataset
    number = dataset.table.index[dataset.table["name"] == name][0]
    return AskedImage(name, np.array(dataset.images[number]), int(row["label"]), why, members)

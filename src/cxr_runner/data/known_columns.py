"""What is known of images beside their pixels, by column: filters and subgroups are made of it."""

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import pandas as pd

from cxr_runner.base.errors import UserError
from cxr_runner.base.numbers import list_few
from cxr_runner.base.where import read_filter

_OF_PREDICTIONS = ("split", "name", "patient", "label", "logit", "probability")

Known = list[dict[str, str]]
"""The columns of each image, by name."""


def read_columns(table: pd.DataFrame, of_source: Mapping[str, Mapping[str, str]]) -> Known:
    """Return what is known of images: what their files tell, and what the source says of them now.

    Args:
        table: images, with columns ``name`` and ``columns``.
        of_source: columns by the name of an image.
    """
    told = [json.loads(columns) if columns else {} for columns in table["columns"]]
    return [of_file | dict(of_source.get(name, {})) for name, of_file in zip(table["name"], told, strict=True)]


def fitting(known: Known, where: str) -> list[bool]:
    """Return whether each image fits a filter.

    Raises:
        UserError: the filter cannot be read, names a column that no image has, or fits none.
    """
    wanted = read_filter("data.where", where)
    for name in wanted.columns:
        _check_present("data.where", where, name, known)
    fits = [wanted.fits({name: one.get(name, "") for name in wanted.columns}) for one in known]
    if not any(fits):
        raise UserError.for_key("data.where", where, f"fits none of {len(known):,} images")
    return fits


def take_subgroups(known: Known, wanted: Sequence[str], table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that subgroups are made of, text, indexed as the images in ``table``.

    Raises:
        UserError: no image has such a column.
    """
    for name in wanted:
        if name in _OF_PREDICTIONS:
            raise UserError.for_key("data.subgroups", name, "is a column of predictions.csv already")
        _check_present("data.subgroups", name, name, known)
    return pd.DataFrame({name: [one.get(name, "") for one in known] for name in wanted}, table.index, dtype=str)


def _check_present(key: str, given: str, name: str, known: Known) -> None:
    present = sorted({column for one in known for column in one})
    if name in present:
        return
    near = get_close_matches(name, present, n=1)
    meant = f", did you mean {near[0]}?" if near else ","
    valid = (
        f"the data have no column {name}{meant} valid are {list_few(present)}"
        if present
        else "the data have no columns"
    )
    raise UserError.for_key(key, given, valid)

"""The tables of the errata as people read them; their files contain what :mod:`cxr_runner.study.errata` computes."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from cxr_runner.base.numbers import format_number
from cxr_runner.base.tables import Table
from cxr_runner.report.render.cells import yes_no
from cxr_runner.report.render.report_tables import text
from cxr_runner.study import FAMILIES, Row, Study
from cxr_runner.study.claims_in_print import claim_table
from cxr_runner.study.errata import accuracy_table
from cxr_runner.study.misprints import check_table, find_checks, find_slips, slip_table

_OPTIMIZERS = {"sgd": "SGD", "adam": "Adam"}
_FIELDS = {"weighted": "class weight", "hidden": "size", "lr": "learning rate", "kernel_size": "size of filters"}


def recovered_ranks(recovered: pd.DataFrame) -> Table:
    """Return the ranking as published and by the accuracy over all images.

    Args:
        recovered: ranking as :func:`cxr_runner.study.errata.recovery_table` returns it.
    """
    entries = recovered.to_dict("records")
    num_images, last = recovered["num_images"].iloc[0], recovered["last_batch"].iloc[0]
    by_batch, errors = last < num_images, [_dashed(entry["last_errors"]) for entry in entries]
    shown = pd.DataFrame(
        {
            "model": [_model(entry) for entry in entries],
            "batch": [str(entry["batch_size"]) for entry in entries],
            "published, %": [format_number(entry["published"], ".1f") for entry in entries],
            "rank, published": [text(entry["published_rank"]) for entry in entries],
            "recovered, %": [format_number(entry["pooled"], ".1f") for entry in entries],
            "Wilson, %": [_span(entry["wilson_low"], entry["wilson_high"], ".1f") for entry in entries],
            "rank, recovered": [text(entry["recovered_rank"]) for entry in entries],
            f"correct of {num_images}": [text(entry["correct"]) for entry in entries],
            **({f"errors in the last {last}": errors} if by_batch else {}),
            **{cell.upper(): [_dashed(entry[cell]) for entry in entries] for cell in ("tp", "fp", "fn", "tn")},
        }
    )
    caption = (
        "The one accuracy over all test images that fits accuracy, precision, recall and F1 as published, with its "
        "95 % Wilson interval"
        + (f"; the published one is the mean over batches, the last of which has {last} images. " if by_batch else ". ")
        + "Ranges where several confusion matrices fit; empty where none does, or several accuracies do."
    )
    return Table("errata_recovery", caption, recovered, shown, ("model",))


def possible_accuracies(study: Study) -> Table:
    """Return whether published accuracies and F1 scores can be those over all test images."""
    data, num_images = accuracy_table(study), sum(study.test or ())
    entries = data.to_dict("records")
    shown = pd.DataFrame(
        {
            "model": [_model(entry) for entry in entries],
            "published, %": [format_number(entry["accuracy"], ".1f") for entry in entries],
            f"nearest share of {num_images}": [
                f"{entry['nearest_count']} ({entry['nearest_percent']:.1f} %)" for entry in entries
            ],
            "rounds to it": [yes_no(entry["is_share"]) for entry in entries],
            "possible beside precision and recall, %": [
                _span(entry["lowest"], entry["highest"], ".1f") for entry in entries
            ],
            "lies there": [yes_no(entry["allowed"]) for entry in entries],
            "published F1": [format_number(entry["f1"], ".2f") for entry in entries],
            "F1 possible beside them": [_span(entry["f1_lowest"], entry["f1_highest"], ".3f") for entry in entries],
            "F1 lies there": [yes_no(entry["f1_allowed"]) for entry in entries],
        }
    )
    caption = (
        "Can a published accuracy be a share of all test images (GRIM)? Does it, but for rounding, lie between the "
        "lowest and the highest that precision and recall of the same row allow? The same of F1."
    )
    return Table("errata_accuracy", caption, data, shown, ("model", "rounds to it", "lies there", "F1 lies there"))


def compared_claims(study: Study) -> Table:
    """Return the claims about test metrics, by published and by recovered values."""
    data, num_images = claim_table(study), sum(study.test or ())
    entries = data.to_dict("records")
    columns = {
        "claim": [entry["says"] for entry in entries],
        "where": [entry["place"] for entry in entries],
        "metric": ["F1" if entry["metric"] == "f1" else entry["metric"] for entry in entries],
        "hold as published": [f"{entry['published']} of {entry['parts']}" for entry in entries],
        "do not, as published": [entry["published_exceptions"] for entry in entries],
        "hold as recovered": [
            "unknown" if pd.isna(entry["recovered"]) else f"{entry['recovered']} of {entry['parts']}"
            for entry in entries
        ],
        "do not, as recovered": [entry["recovered_exceptions"] for entry in entries],
    }
    texts = tuple(heading for heading in columns if not heading.startswith("hold"))
    caption = (
        "Claims about test metrics, by pairs or models that are as claimed. In brackets the published values (accuracy "
        f"in percent), or how many of {num_images} images are classified correctly, from which F1 does not follow."
    )
    return Table("errata_claims", caption, data, pd.DataFrame(columns), texts)


def misnamed_models(study: Study) -> Table:
    """Return what captions and text say of models that the tables give otherwise."""
    slips = list(find_slips(study))
    columns = {
        "where": [slip.source for slip in slips],
        "model": [f"model {slip.row.id}" for slip in slips],
        "said to have": [_in_words(slip.said, slip.row) for slip in slips],
        "has in the tables": [_in_words(slip.tables_say, slip.row) for slip in slips],
        "would fit": [_fitting(slip.meant, slip.unlike) for slip in slips],
    }
    caption = (
        f"Models in captions and text that do not fit {study.table_names}, and the one model that fits what is said "
        "better, where there is one."
    )
    return Table("errata_slips", caption, slip_table(study), pd.DataFrame(columns), tuple(columns))


def printed_numbers(study: Study) -> Table:
    """Return printed numbers that follow from others; rounded ones are computed to one digit more than is printed."""
    checks = list(find_checks(study))
    shown = pd.DataFrame(
        {
            "where": [check.source for check in checks],
            "number": [check.quantity for check in checks],
            "computation": [check.computation.replace(" - ", " − ") for check in checks],
            "computed": [
                _with_unit(check.computed, check.digits + (check.half_unit > 0), check.unit) for check in checks
            ],
            "printed": [_with_unit(check.printed, check.digits, check.unit) for check in checks],
            "fits": [yes_no(check.fits) for check in checks],
        }
    )
    caption = "Printed numbers that follow from others, computed again."
    return Table("errata_checks", caption, check_table(study), shown, ("where", "number", "computation", "fits"))


def _model(entry: Mapping[Any, Any]) -> str:
    return f"{entry['row']}: {entry['model']}"


def _span(low: float, high: float, form: str) -> str:
    return "" if math.isnan(low) else f"{format_number(low, form)} to {format_number(high, form)}"


def _dashed(counts: str) -> str:
    return counts.replace("-", " to ")


def _with_unit(value: float, digits: int, unit: str) -> str:
    return format_number(value, f",.{digits}f") + f" {unit}" * bool(unit)


def _in_words(values: Mapping[str, Any], row: Row) -> str:
    """Return settings of a model as one would say them."""
    family = values.get("family", row.family)
    units = "filters" if family == "cnn" else "units"
    words: dict[str, Callable[[Any], str]] = {
        "family": lambda value: FAMILIES.get(value, value),
        "layers": lambda value: f"{value} layer{'s' * (value != 1)}",
        "hidden": lambda value: f"{value} {units}",
        "kernel_size": lambda value: f"filters {value}x{value}",
        "weighted": lambda value: "class weight" if value else "no class weight",
        "optimizer": lambda value: _OPTIMIZERS.get(value, value),
        "lr": lambda value: f"learning rate {value:g}",
        "batch_size": lambda value: f"batches of {value}",
        "epochs": lambda value: f"{value} epochs",
    }
    return ", ".join(words[field](value) for field, value in values.items())


def _fitting(meant: Row | None, unlike: list[str]) -> str:
    if meant is None:
        return ""
    but = ", ".join(_FIELDS.get(field, field) for field in unlike)
    return f"model {meant.id}" + f", but for the {but}" * bool(but)

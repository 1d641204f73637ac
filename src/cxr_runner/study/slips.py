"""Where the study's text does not fit its own tables: model numbers, captions and other printed numbers.

``slips.yaml`` holds what captions and text say of single models, right or wrong; the tables here compare it.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import pandas as pd
import yaml

from cxr_runner.study.published import Row, Study


def slip_table(study: Study) -> pd.DataFrame:
    """List what captions and text say of models that Tables 1 and 2 give otherwise.

    Returns:
        One row a model and place: ``place``, ``model`` (as printed), ``says`` and ``table_says`` (what differs),
        ``meant`` (the model that fits best what is said, '' where no other fits better or several do).
    """
    rows = []
    for statement in _content()["statements"]:
        said = {row_id: statement["all"] | own for row_id, own in statement["models"].items()}
        wrong = {row_id: _mismatches(study.row(row_id), values) for row_id, values in said.items()}
        right = {row_id for row_id, fields in wrong.items() if not fields}
        free = [row for row in study.rows if row.id not in right]  # a statement names no model twice
        for row_id, fields in wrong.items():
            if fields:
                rows.append(
                    {
                        "place": statement["place"],
                        "model": row_id,
                        "says": _describe(said[row_id], fields),
                        "table_says": _describe({field: getattr(study.row(row_id), field) for field in fields}, fields),
                        "meant": _meant(said[row_id], len(fields), free),
                    }
                )
    return pd.DataFrame(rows)


def num_statements() -> int:
    """Return how many statements on single models :func:`slip_table` goes through."""
    return sum(len(statement["models"]) for statement in _content()["statements"])


def check_table(study: Study) -> pd.DataFrame:
    """Compute again printed numbers that follow from others.

    Returns:
        One row a number: ``place``, ``quantity``, ``computation``, ``computed``, ``printed``, ``fits``.
    """
    checks = [*_checks_of_sizes(study), *_checks_of_the_confusion_matrix(study)]
    table = pd.DataFrame(checks)
    fits = [check.fits for check in checks]
    return table.drop(columns="half_unit").assign(fits=fits)


class _Check(NamedTuple):
    """A printed number and what follows from others; ``half_unit`` is how far rounding may put them apart."""

    place: str
    quantity: str
    computation: str
    computed: float
    printed: float
    half_unit: float = 0.0

    @property
    def fits(self) -> bool:
        return abs(self.computed - self.printed) <= self.half_unit


@cache
def _content() -> dict[str, Any]:
    content = yaml.safe_load(files("cxr_runner.study").joinpath("slips.yaml").read_text("utf-8"))
    assert isinstance(content, dict)
    return content


def _mismatches(row: Row, said: Mapping[str, Any]) -> list[str]:
    return [field for field, value in said.items() if getattr(row, field) != value]


def _meant(said: Mapping[str, Any], num_wrong: int, candidates: Sequence[Row]) -> str:
    """Name the one model that fits best what is said, with what still differs."""
    distances = {row.id: _mismatches(row, said) for row in candidates}
    fewest = min(map(len, distances.values()))
    best = [row_id for row_id, fields in distances.items() if len(fields) == fewest]
    if fewest >= num_wrong or len(best) > 1:
        return ""
    rest = ", ".join(distances[best[0]])
    return f"{best[0]} (but for {rest})" if rest else best[0]


def _describe(values: Mapping[str, Any], fields: Sequence[str]) -> str:
    shown = {True: "yes", False: "no"}
    texts = (shown[values[field]] if isinstance(values[field], bool) else values[field] for field in fields)
    return ", ".join(f"{field} {text}" for field, text in zip(fields, texts, strict=True))


def _checks_of_sizes(study: Study) -> Iterator[_Check]:
    arithmetic = _content()["arithmetic"]
    batches, inputs = arithmetic["batches"], arithmetic["in_features"]
    size, side, filters = batches["batch_size"], study.image_size, study.row("11").hidden
    for split, count in study.splits.items():
        computation = f"{count} / {size}, rounded up"
        yield _Check(batches["place"], f"batches of {split}", computation, -(-count // size), batches[split])
    flat, pooled = side**2, filters * (side // 4) ** 2
    yield _Check("Fig. 6", "inputs of the linear model", f"{side}²", flat, inputs["linear"])
    computation = f"{filters} filters, {side}² pixels halved twice: {filters} · {side // 4}²"
    yield _Check("Fig. 8", "inputs of the CNN's linear layer", computation, pooled, inputs["cnn"])


def _checks_of_the_confusion_matrix(study: Study) -> Iterator[_Check]:
    """Hold Fig. 19 against the split sizes and against what Fig. 20 gives for the same model."""
    matrix, row = study.confusion, study.row(study.confusion.row)
    tp, fp, fn, tn = matrix.tp, matrix.fp, matrix.fn, matrix.tn
    published, size, total = row.published, row.batch_size, tp + fp + fn + tn
    assert published is not None
    place, model = "Figs. 19 and 20", f"of model {row.id}"
    yield _Check("Fig. 19", "test images", f"{tp} + {fp} + {fn} + {tn}", total, study.splits["test"])
    yield _Check(place, f"precision {model}", f"{tp} / ({tp} + {fp})", tp / (tp + fp), published.precision, 0.005)
    yield _Check(place, f"recall {model}", f"{tp} / ({tp} + {fn})", tp / (tp + fn), published.recall, 0.005)
    f1 = 2 * tp / (2 * tp + fp + fn)
    yield _Check(place, f"F1 {model}", f"2 · {tp} / (2 · {tp} + {fp} + {fn})", f1, published.f1, 0.005)
    pooled = 100 * (tp + tn) / total
    yield _Check(place, f"accuracy {model}", f"({tp} + {tn}) / {total}", pooled, published.accuracy, 0.05)
    full, last = divmod(total, size)
    mean = 100 * ((full * size - fp - fn) / size + 1) / (full + 1)
    computation = (
        f"({full} batches of {size} with {fp + fn} errors, one of {last} without): "
        f"(({full} · {size} - {fp + fn}) / {size} + {last} / {last}) / {full + 1}"
    )
    yield _Check(place, f"mean over batches {model}", computation, mean, published.accuracy, 0.05)
    always = _content()["arithmetic"]["always_positive"]
    share = 100 * matrix.positives / total
    what = "accuracy of always saying pneumonia, about"
    yield _Check(always["place"], what, f"{matrix.positives} / {total}", share, always["percent"], 1)

"""Where a study's text does not fit its tables: model numbers, captions and other printed numbers.

A study file holds what captions and text say of single models, right or wrong, and which printed numbers follow from
others; the tables here compare it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from cxr_runner.study.published import Study
from cxr_runner.study.study_rows import Row


class Slip(NamedTuple):
    """What the study says of a model somewhere and gives otherwise in its tables.

    Attributes:
        source: where it is said.
        row: model as printed.
        said: values that differ, as they are said, by their fields of :class:`Row`.
        meant: model that fits best what is said, None where no other fits better or several do.
        unlike: fields in which even that one differs.
    """

    source: str
    row: Row
    said: dict[str, Any]
    meant: Row | None
    unlike: list[str]

    @property
    def tables_say(self) -> dict[str, Any]:
        """The same fields as the tables have them."""
        return {field: getattr(self.row, field) for field in self.said}


class Check(NamedTuple):
    """A printed number and what follows from others.

    Attributes:
        source: where it is printed.
        quantity: what it is.
        computation: from what else it follows.
        computed: result.
        printed: number that the study prints.
        half_unit: how far rounding may put them apart.
        digits: number of digits that are printed behind the point.
        unit: ``%`` or ''.
    """

    source: str
    quantity: str
    computation: str
    computed: float
    printed: float
    half_unit: float = 0.0
    digits: int = 0
    unit: str = ""

    @property
    def fits(self) -> bool:
        """Whether both are the same but for rounding."""
        return abs(self.computed - self.printed) <= self.half_unit


def find_slips(study: Study) -> Iterator[Slip]:
    """Yield what captions and text say of models that the tables give otherwise."""
    for statement in study.statements:
        said = statement.models
        wrong = {row_id: _mismatches(study.row(row_id), values) for row_id, values in said.items()}
        right = {row_id for row_id, fields in wrong.items() if not fields}
        free = [row for row in study.rows if row.id not in right]  # a statement names no model twice
        for row_id, fields in wrong.items():
            if fields:
                values = {field: said[row_id][field] for field in fields}
                yield Slip(statement.source, study.row(row_id), values, *_meant(said[row_id], len(fields), free))


def slip_table(study: Study) -> pd.DataFrame:
    """List what captions and text say of models that the tables give otherwise.

    Returns:
        One row a model and source: ``place``, ``model`` (as printed), ``says`` and ``table_says`` (what differs),
        ``meant`` (the model that fits best what is said, '' where no other fits better or several do).
    """
    rows = [
        {
            "place": slip.source,
            "model": slip.row.id,
            "says": _describe(slip.said),
            "table_says": _describe(slip.tables_say),
            "meant": (slip.meant.id if slip.meant else "")
            + (f" (but for {', '.join(slip.unlike)})" * bool(slip.unlike)),
        }
        for slip in find_slips(study)
    ]
    return pd.DataFrame(rows, columns=["place", "model", "says", "table_says", "meant"])


def num_statements(study: Study) -> int:
    """Return how many statements on single models :func:`slip_table` goes through."""
    return sum(len(statement.models) for statement in study.statements)


def stepped_rows(study: Study) -> list[Row]:
    """Return the rows of one model that was trained with batches of two sizes; none where the study names none."""
    return [study.row(row_id) for row_id in study.arithmetic.get("steps", ())]


def check_table(study: Study) -> pd.DataFrame:
    """Compute again printed numbers that follow from others.

    Returns:
        One row a number: ``place``, ``quantity``, ``computation``, ``computed``, ``printed``, ``fits``.
    """
    checks = list(find_checks(study))
    fits = [check.fits for check in checks]
    table = pd.DataFrame(checks, columns=list(Check._fields)).drop(columns=["half_unit", "digits", "unit"])
    return table.rename(columns={"source": "place"}).assign(fits=fits)


def find_checks(study: Study) -> Iterator[Check]:
    """Yield printed numbers that follow from others, with what follows."""
    yield from _checks_of_sizes(study)
    yield from _checks_of_the_confusion_matrix(study)


def _mismatches(row: Row, said: Mapping[str, Any]) -> list[str]:
    return [field for field, value in said.items() if getattr(row, field) != value]


def _meant(said: Mapping[str, Any], num_wrong: int, candidates: Sequence[Row]) -> tuple[Row | None, list[str]]:
    """Find the one model that fits best what is said, with what still differs."""
    distances = [_mismatches(row, said) for row in candidates]
    fewest = min(map(len, distances))
    best = [index for index, fields in enumerate(distances) if len(fields) == fewest]
    if fewest >= num_wrong or len(best) > 1:
        return None, []
    return candidates[best[0]], distances[best[0]]


def _describe(values: Mapping[str, Any]) -> str:
    shown = {True: "yes", False: "no"}
    return ", ".join(f"{field} {shown[value] if isinstance(value, bool) else value}" for field, value in values.items())


def _checks_of_sizes(study: Study) -> Iterator[Check]:
    arithmetic = study.arithmetic
    if "batches" in arithmetic:
        batches = arithmetic["batches"]
        size = batches["batch_size"]
        for split, count in study.splits.items():
            computation = f"{count} / {size}, rounded up"
            yield Check(batches["source"], f"batches of {split}", computation, -(-count // size), batches[split])
    side = study.image_size
    if "linear_inputs" in arithmetic:
        linear = arithmetic["linear_inputs"]
        yield Check(linear["source"], "inputs of the linear model", f"{side}²", side**2, linear["printed"])
    if "cnn_inputs" in arithmetic:
        cnn = arithmetic["cnn_inputs"]
        filters = study.row(cnn["row"]).hidden or 0
        computation = f"{filters} filters, {side}² pixels halved twice: {filters} · {side // 4}²"
        pooled = filters * (side // 4) ** 2
        yield Check(cnn["source"], "inputs of the CNN's linear layer", computation, pooled, cnn["printed"])


def _checks_of_the_confusion_matrix(study: Study) -> Iterator[Check]:
    """Compare the confusion matrix with the split sizes and with the metrics published of the same model."""
    matrix, sources = study.confusion, study.arithmetic.get("confusion")
    if matrix is None or sources is None:
        return
    row = study.row(matrix.row)
    tp, fp, fn, tn = matrix.tp, matrix.fp, matrix.fn, matrix.tn
    published, size, total = row.published, row.batch_size, tp + fp + fn + tn
    assert published is not None
    model, both = f"of model {row.id}", sources["with_metrics"]
    fraction, percent = (0.005, 2, ""), (0.05, 1, "%")
    yield Check(sources["source"], "test images", f"{tp} + {fp} + {fn} + {tn}", total, study.splits["test"])
    yield Check(both, f"precision {model}", f"{tp} / ({tp} + {fp})", tp / (tp + fp), published.precision, *fraction)
    yield Check(both, f"recall {model}", f"{tp} / ({tp} + {fn})", tp / (tp + fn), published.recall, *fraction)
    f1 = 2 * tp / (2 * tp + fp + fn)
    yield Check(both, f"F1 {model}", f"2 · {tp} / (2 · {tp} + {fp} + {fn})", f1, published.f1, *fraction)
    pooled = 100 * (tp + tn) / total
    yield Check(both, f"accuracy {model}", f"({tp} + {tn}) / {total}", pooled, published.accuracy, *percent)
    full, last = divmod(total, size)
    mean = 100 * ((full * size - fp - fn) / size + 1) / (full + 1)
    computation = (
        f"({full} batches of {size} with {fp + fn} errors, one of {last} without): "
        f"(({full} · {size} - {fp + fn}) / {size} + {last} / {last}) / {full + 1}"
    )
    yield Check(both, f"mean over batches {model}", computation, mean, published.accuracy, *percent)
    if (always := study.arithmetic.get("always_positive")) is None:
        return
    share = 100 * matrix.positives / total
    what = "accuracy of always saying pneumonia, about"
    yield Check(always["source"], what, f"{matrix.positives} / {total}", share, always["percent"], 1, 0, "%")

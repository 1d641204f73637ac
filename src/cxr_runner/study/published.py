"""The study as data: its tables, its published metrics, its figures and its claims, from ``study.yaml``.

A run belongs to a row of the study by its configuration, never by its name: see :func:`match_row`.

Source: Gabriela Copetti, "Binary Classification of Chest X-rays for Prediction of Pneumonia".
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from cxr_runner.study.claims import Claim, Definition, Rules, read_claims

Family = Literal["linear", "linear_relu", "cnn"]
FAMILIES: dict[Family, str] = {"linear": "Linear", "linear_relu": "Linear+ReLU", "cnn": "CNN"}
FigureKind = Literal["sample", "balance", "listing", "curves", "confusion", "metrics", "bars", "duration"]


@dataclass(frozen=True)
class Published:
    """The test metrics that the study gives for one model.

    Attributes:
        figure: 20 or 23, the one that they stand in.
        accuracy: the mean over batches, in percent, rounded to one decimal.
        precision: a fraction, rounded to two decimals; so are the next two.
        recall: a fraction.
        f1: a fraction.
    """

    figure: int
    accuracy: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Row:
    """One model of Table 1 or Table 2.

    Attributes:
        id: as the study numbers it, ``0`` ... ``25`` and ``20b`` ... ``25b``.
        table: 1 or 2.
        family: the class of the model.
        layers: linear layers, the last one included; of a CNN 1.
        hidden: units of a layer, or filters of a convolution.
        kernel_size: of a CNN, else None.
        pos_weight: weight of the positive class, None without.
        optimizer: ``sgd`` or ``adam``.
        lr: the learning rate.
        batch_size: in training and in evaluation.
        epochs: passes over the training split.
        published: its test metrics, None for a model that was never tested.
    """

    id: str
    table: int
    family: Family
    layers: int
    hidden: int
    kernel_size: int | None
    pos_weight: float | None
    optimizer: Literal["sgd", "adam"]
    lr: float
    batch_size: int
    epochs: int
    published: Published | None

    @property
    def weighted(self) -> bool:
        """Whether the loss has a class weight."""
        return self.pos_weight is not None

    @property
    def experiment(self) -> str:
        """The name of the row's experiment file, as in ``cxr-run experiment=table1_00``."""
        return f"table{self.table}_{self.id.zfill(2)}"

    @property
    def title(self) -> str:
        """The model in words, e.g. ``Linear+ReLU, 2 layers, 10 units, weighted``."""
        parts = [FAMILIES[self.family]]
        if self.kernel_size is None:
            parts += [f"{self.layers} layers", f"{self.hidden} units"]
        else:
            parts += [f"{self.hidden} filters {self.kernel_size}x{self.kernel_size}"]
        return ", ".join(parts + ["weighted"] * self.weighted + ["Adam"] * (self.optimizer == "adam"))

    def settings(self) -> dict[str, Any]:
        """Return what distinguishes the row from the others, as dotted keys of a configuration."""
        shape = {"model.layers": self.layers} if self.kernel_size is None else {"model.kernel_size": self.kernel_size}
        return {
            "model.name": self.family,
            **shape,
            "model.hidden": self.hidden,
            "optimizer.name": self.optimizer,
            "optimizer.lr": self.lr,
            "loss.pos_weight": self.pos_weight,
            "batch_size": self.batch_size,
            "epochs": self.epochs,
        }


@dataclass(frozen=True)
class Confusion:
    """The confusion matrix of one model on the test split.

    Attributes:
        place: where it stands in the study.
        row: the id of the model.
        tp: pneumonia, found.
        fp: normal, called pneumonia.
        fn: pneumonia, missed.
        tn: normal, called so.
    """

    place: str
    row: str
    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def counts(self) -> dict[str, int]:
        """The four counts by their names."""
        return {"tp": self.tp, "fp": self.fp, "fn": self.fn, "tn": self.tn}

    @property
    def positives(self) -> int:
        """Test images of pneumonia."""
        return self.tp + self.fn

    @property
    def negatives(self) -> int:
        """Normal test images."""
        return self.fp + self.tn


@dataclass(frozen=True)
class StudyFigure:
    """One figure of the study.

    Attributes:
        number: the study's.
        kind: what it is; ``curves`` are loss and accuracy of train and val by epoch.
        caption: in words of our own.
        shows: what the study reads from it.
        rows: the ids of the models that it compares, in the order of what varies; empty where it is about the data.
        varies: what differs between the rows, '' where there is nothing to compare.
    """

    number: int
    kind: FigureKind
    caption: str
    shows: str
    rows: tuple[str, ...] = ()
    varies: str = ""


@dataclass(frozen=True)
class Study:
    """All of it.

    Attributes:
        title: of the study.
        author: of the study.
        splits: images in ``train``, ``val`` and ``test``.
        image_size: side of an image in pixels.
        class_weight: negatives / positives of the training split, the study's weight of the positive class.
        conditions: what all models share, as dotted keys of a configuration.
        rows: Tables 1 and 2, in their order.
        confusion: the one confusion matrix that the study prints.
        figures: in the order of their numbers.
        claims: in the order of the text.
        definitions: by their ids the numbers that claims are tested by.
        rules: how claims are decided.
    """

    title: str
    author: str
    splits: dict[str, int]
    image_size: int
    class_weight: float
    conditions: dict[str, Any]
    rows: tuple[Row, ...]
    confusion: Confusion
    figures: tuple[StudyFigure, ...]
    claims: tuple[Claim, ...]
    definitions: dict[str, Definition]
    rules: Rules

    def row(self, row_id: str) -> Row:
        """Return the row of an id; KeyError if there is none."""
        return {row.id: row for row in self.rows}[row_id]

    def published_rows(self, figure: int | None = None) -> tuple[Row, ...]:
        """Return the rows with published metrics, those of one figure (20 or 23) or all, in the order of the tables."""
        return tuple(row for row in self.rows if row.published and figure in (None, row.published.figure))


@cache
def load_study() -> Study:
    """Read the study from ``study.yaml``."""
    content = yaml.safe_load(files("cxr_runner.study").joinpath("study.yaml").read_text("utf-8"))
    return Study(
        title=content["title"],
        author=content["author"],
        splits=content["data"]["splits"],
        image_size=content["data"]["image_size"],
        class_weight=content["class_weight"]["value"],
        conditions=content["conditions"],
        rows=tuple(_rows(content)),
        confusion=Confusion(**content["confusion"]),
        figures=tuple(StudyFigure(**_frozen(figure)) for figure in content["figures"]),
        claims=tuple(read_claims(content["claims"])),
        definitions={entry["id"]: Definition(**entry) for entry in content["definitions"]},
        rules=Rules(**content["verdicts"]),
    )


def match_row(config: Mapping[str, Any]) -> str | None:
    """Find the row of the study that a run repeats.

    Model, optimizer, loss, batch size and epochs must be the row's, and everything that the study left as it is must
    be so (no momentum, no schedule, no augmentation ...). Data, image size, seed, engine and device play no part. A
    setting that the configuration does not have, because its model or optimizer has none, is as in the study.

    Args:
        config: of a run, nested, as ``config.yaml`` of a run directory holds it.

    Returns:
        The id of the row, e.g. ``20b``; None for a run that is none of the study's.
    """
    study, given = load_study(), dict(_flatten(config))
    if not all(same_setting(given.get(key, value), value) for key, value in study.conditions.items()):
        return None
    for row in study.rows:
        if all(key in given and same_setting(given[key], value) for key, value in row.settings().items()):
            return row.id
    return None


def _rows(content: Mapping[str, Any]) -> Iterator[Row]:
    published = {}
    for entry in content["published"]:
        published[entry["row"]] = Published(**{key: value for key, value in entry.items() if key != "row"})
    for table in content["tables"]:
        for cells in table["rows"]:
            values = dict(zip(table["columns"], cells, strict=True))
            pos_weight = content["class_weight"]["value"] if values.pop("weighted") else None
            yield Row(
                **values,
                table=table["number"],
                batch_size=table["batch_size"],
                pos_weight=pos_weight,
                published=published.get(values["id"]),
            )


def _frozen(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


def _flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def same_setting(given: object, value: object) -> bool:
    """Compare two settings: numbers up to the rounding of a float, and 0 is not false."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        return type(given) is type(value) and given == value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isclose(given, value)
    except OverflowError:  # a whole number beyond all floats
        return False

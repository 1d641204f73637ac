"""The study as data: its tables, its published metrics, its figures and its claims.

Source: Gabriela Copetti, "Binary Classification of Chest X-rays for Prediction of Pneumonia".
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

from cxr_runner.study.claims import Claim, Definition, Rules
from cxr_runner.study.figures import StudyFigure

Family = Literal["linear", "linear_relu", "cnn"]
FAMILIES: dict[Family, str] = {"linear": "Linear", "linear_relu": "Linear+ReLU", "cnn": "CNN"}


@dataclass(frozen=True)
class Published:
    """The test metrics that the study gives for one model.

    Attributes:
        figure: number of the figure that they stand in.
        accuracy: mean over batches, in percent, rounded to one decimal.
        precision: fraction, rounded to two decimals; so are the next two.
        recall: fraction.
        f1: fraction.
    """

    figure: int
    accuracy: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Row:
    """One model of the study, as a row of one of its tables.

    Attributes:
        id: number that the study gives it, a text such as ``20b``.
        table: number of the table.
        family: class of the model.
        layers: linear layers, the last one included; of a CNN 1.
        hidden: units of a layer, or filters of a convolution.
        kernel_size: side of the filters of a CNN, else None.
        pos_weight: weight of the positive class, None without.
        optimizer: ``sgd`` or ``adam``.
        lr: learning rate.
        batch_size: size of batches in training and in evaluation.
        epochs: passes over the training split.
        published: published test metrics, None for a model that was never tested.
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
        words = [FAMILIES[self.family]]
        if self.kernel_size is None:
            words += [f"{self.layers} layers", f"{self.hidden} units"]
        else:
            words += [f"{self.hidden} filters {self.kernel_size}x{self.kernel_size}"]
        return ", ".join(words + ["weighted"] * self.weighted + ["Adam"] * (self.optimizer == "adam"))

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
        source: where it stands in the study.
        row: id of the model.
        tp: pneumonia, called so.
        fp: normal, called pneumonia.
        fn: pneumonia, missed.
        tn: normal, called so.
    """

    source: str
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
class ComparedMetric:
    """A metric of the test split that runs are compared by, with one another and with what was published.

    Attributes:
        key: key of the metric, as in ``metrics.json``.
        words: name for people.
        published: field of :class:`Published` that holds the published value, '' where none was published.
        percent: whether it was published in percent.
        digits: decimals of the published value, as a fraction.
    """

    key: str
    words: str = ""
    published: str = ""
    percent: bool = False
    digits: int = 2

    def published_of(self, row: Row) -> float:
        """Return the published value of a row as a fraction; nan where there is none."""
        if not self.published or row.published is None:
            return math.nan
        value = float(getattr(row.published, self.published))
        return value / 100 if self.percent else value


@dataclass(frozen=True, eq=False)  # one study is itself alone, so that what is computed of it can be kept
class Study:
    """All of it.

    Attributes:
        title: title of the study.
        author: author of the study.
        splits: images in ``train``, ``val`` and ``test``.
        image_size: side of an image in pixels.
        class_weight: negatives / positives of the training split, the study's weight of the positive class.
        conditions: what all models share, as dotted keys of a configuration.
        rows: rows of its tables, in their order.
        metrics: metrics that runs are compared by, in the order of the report.
        confusion: the one confusion matrix that the study prints.
        figures: figures in the order of their numbers.
        claims: claims in the order of the text.
        claims_note: what has to be said of how the claims were tested.
        definitions: numbers that claims are tested by, by their ids.
        rules: how claims are decided.
    """

    title: str
    author: str
    splits: dict[str, int]
    image_size: int
    class_weight: float
    conditions: dict[str, Any]
    rows: tuple[Row, ...]
    metrics: tuple[ComparedMetric, ...]
    confusion: Confusion
    figures: tuple[StudyFigure, ...]
    claims: tuple[Claim, ...]
    claims_note: str
    definitions: dict[str, Definition]
    rules: Rules

    def row(self, row_id: str) -> Row:
        """Return the row of an id; KeyError if there is none."""
        return {row.id: row for row in self.rows}[row_id]

    @property
    def tables(self) -> tuple[int, ...]:
        """The numbers of the tables that list the rows."""
        return tuple(dict.fromkeys(row.table for row in self.rows))

    @property
    def table_names(self) -> str:
        """The tables in words, e.g. ``Tables 1 and 2``."""
        return f"Table{'s' * (len(self.tables) > 1)} {' and '.join(map(str, self.tables))}"

    @property
    def metric_figures(self) -> tuple[StudyFigure, ...]:
        """The figures that are tables of published test metrics."""
        return tuple(figure for figure in self.figures if figure.kind == "metrics")

    @property
    def accuracy(self) -> ComparedMetric:
        """The metric that the study calls accuracy."""
        return next(one for one in self.metrics if one.published == "accuracy")

    def published_rows(self, figure: int | None = None) -> tuple[Row, ...]:
        """Return the rows with published metrics, those of one figure or all, in the order of the tables."""
        return tuple(row for row in self.rows if row.published and figure in (None, row.published.figure))

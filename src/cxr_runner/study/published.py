"""A study as data: its rows, its published metrics, its figures and its claims."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from cxr_runner.artifacts.metrics import metric
from cxr_runner.study.claims import Claim, Definition, Rules
from cxr_runner.study.study_rows import Row

if TYPE_CHECKING:  # named here, and made elsewhere
    from cxr_runner.study.figures import StudyFigure


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
        published: its field of :class:`~cxr_runner.study.study_rows.Published`, '' where it was not published.
        percent: whether it was published in percent.
        digits: decimals of the published value, as a fraction.
    """

    key: str
    words: str = ""
    published: str = ""
    percent: bool = False
    digits: int = 2

    @property
    def label(self) -> str:
        """Name for people."""
        return self.words or metric(self.key).words

    def published_of(self, row: Row) -> float:
        """Return the published value of a row as a fraction; nan where there is none."""
        if not self.published or row.published is None:
            return math.nan
        value = float(getattr(row.published, self.published))
        return value / 100 if self.percent else value


@dataclass(frozen=True)
class Statement:
    """What captions or text say of single models.

    Attributes:
        source: where.
        models: by the id of a row, what is said of it, by fields of :class:`~cxr_runner.study.study_rows.Row`.
    """

    source: str
    models: Mapping[str, Mapping[str, Any]]


PresetName = Literal["laptop", "full"]


@dataclass(frozen=True)
class StudyRuns:
    """What ``cxr-study`` trains unless it is told otherwise.

    Attributes:
        seeds: seeds of every row.
        preset: what is cut short.
        settings: arguments of ``cxr-run`` on any data.
        folder: those on a folder of images.
    """

    seeds: int = 10
    preset: PresetName = "full"
    settings: tuple[str, ...] = ()
    folder: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)  # one study is itself alone, so that what is computed of it can be kept
class Study:
    """All of it.

    Attributes:
        name: name of its file, without ending.
        title: title of the study.
        author: author of the study.
        citation: how to cite it, or its images.
        images: the ``data=`` that loads its images, '' where there is none.
        splits: images in ``train``, ``val`` and ``test``; empty where not stated.
        test: positives and negatives that published metrics are of; None where not stated.
        image_size: side of an image in pixels.
        conditions: what all rows share, as dotted keys of a configuration.
        rows: rows in their order.
        metrics: metrics that runs are compared by, in the order of the report.
        confusion: confusion matrix that the study prints of one row; None where it prints none.
        figures: figures in the order of their numbers.
        claims: claims in the order of the text.
        claims_note: what has to be said of how the claims were tested.
        definitions: numbers that claims are tested by, by their ids.
        rules: how claims are decided.
        statements: what captions and text say of single models.
        arithmetic: other printed numbers that follow from those above.
        runs: what is trained unless told otherwise.
        asked: whether the study was asked for by name, so that it is reported on whatever its runs are called.
    """

    name: str
    title: str
    author: str
    citation: str
    images: str
    splits: Mapping[str, int]
    test: tuple[int, int] | None
    image_size: int
    conditions: Mapping[str, Any]
    rows: tuple[Row, ...]
    metrics: tuple[ComparedMetric, ...]
    confusion: Confusion | None
    figures: tuple["StudyFigure", ...]
    claims: tuple[Claim, ...]
    claims_note: str
    definitions: Mapping[str, Definition]
    rules: Rules
    statements: tuple[Statement, ...] = ()
    arithmetic: Mapping[str, Any] = field(default_factory=dict)
    runs: StudyRuns = StudyRuns()
    asked: bool = False

    def row(self, row_id: str) -> Row:
        """Return the row of an id; KeyError if there is none."""
        return {row.id: row for row in self.rows}[row_id]

    @property
    def tables(self) -> tuple[int, ...]:
        """The numbers of the tables that list the rows."""
        return tuple(dict.fromkeys(row.table for row in self.rows if row.table is not None))

    @property
    def table_names(self) -> str:
        """The tables in words, e.g. ``Tables 1 and 2``."""
        return f"Table{'s' * (len(self.tables) > 1)} {' and '.join(map(str, self.tables))}"

    @property
    def metric_figures(self) -> tuple["StudyFigure", ...]:
        """The figures that are tables of published test metrics."""
        return tuple(figure for figure in self.figures if figure.kind == "metrics")

    @property
    def accuracy(self) -> ComparedMetric:
        """The metric that the study calls accuracy."""
        published = [one for one in self.metrics if one.published == "accuracy"]
        return published[0] if published else ComparedMetric("accuracy")

    def published_rows(self, figure: int | None = None) -> tuple[Row, ...]:
        """Return the rows with published metrics, those of one figure or all, in the order of the tables."""
        return tuple(row for row in self.rows if row.published and figure in (None, row.published.figure))

"""The schema of a study file: what stands in it, and of which kind. ``docs/study.md`` says what it means."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from cxr_runner.config.values import Count, Strict
from cxr_runner.study.claims import Claim, Definition, RowId, Rules
from cxr_runner.study.figures import StudyFigure
from cxr_runner.study.published import ComparedMetric, Confusion, PresetName

VERSION = 1
Setting = str | bool | int | float | None
Settings = dict[str, Setting]
RowSettings = dict[str, Setting | dict[str, JsonValue]]  # arguments of a class are several in one
NotBlank = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True)
class TestCounts(Strict):
    """How many images of each class published metrics are of."""

    positives: Count
    negatives: Count


@dataclass(frozen=True)
class ImagesPart(Strict):
    """The images of the study.

    ``name`` is the ``data=`` that loads them where there is one; ``settings`` are given whatever the data, ``folder``
    where they are a folder of images.
    """

    image_size: Annotated[int, Field(ge=8, le=4096)]
    source: str = ""
    name: str = ""
    splits: dict[str, Count] = field(default_factory=dict)
    test: TestCounts | None = None
    settings: Settings = field(default_factory=dict)
    folder: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class RunsPart(Strict):
    """What ``cxr-study`` trains unless it is told otherwise."""

    seeds: Count = 10
    preset: PresetName = "full"


@dataclass(frozen=True)
class TablePart(Strict):
    """Rows as a table; a cell ``none`` stands for a setting that the row's model has not."""

    number: Count
    columns: tuple[NotBlank, ...]
    rows: tuple[tuple[Setting, ...], ...]
    shared: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class RowPart(Strict):
    """One row: a file of experiments, settings, or both."""

    id: RowId
    title: str = ""
    experiment: NotBlank | None = None
    settings: RowSettings = field(default_factory=dict)


@dataclass(frozen=True)
class PublishedPart(Strict):
    """Published test metrics of one row; ``batch_size`` of how it was tested, where that is not the row's."""

    row: RowId
    figure: Count | None = None
    accuracy: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    specificity: float | None = None
    auroc: float | None = None


@dataclass(frozen=True)
class StatementPart(Strict):
    """What captions and text say of single models: ``all`` of every one in ``models``."""

    source: str
    all: Settings
    models: dict[str, Settings]


@dataclass(frozen=True)
class BatchesPart(Strict):
    """Printed numbers of batches."""

    source: str
    batch_size: Count
    train: Count
    val: Count
    test: Count


@dataclass(frozen=True)
class InputsPart(Strict):
    """A printed number of inputs of a linear layer."""

    source: str
    printed: Count
    row: RowId = ""


@dataclass(frozen=True)
class SharePart(Strict):
    """A printed percentage."""

    source: str
    percent: float


@dataclass(frozen=True)
class MatrixPart(Strict):
    """Where a confusion matrix stands, and where it stands with the metrics of the same row."""

    source: str
    with_metrics: str


@dataclass(frozen=True)
class ArithmeticPart(Strict):
    """Printed numbers that follow from others."""

    batches: BatchesPart | None = None
    linear_inputs: InputsPart | None = None
    cnn_inputs: InputsPart | None = None
    always_positive: SharePart | None = None
    confusion: MatrixPart | None = None
    steps: tuple[RowId, RowId] | None = None


@dataclass(frozen=True)
class ErrataPart(Strict):
    """What is printed beside the tables, to be compared with them."""

    statements: tuple[StatementPart, ...] = ()
    arithmetic: ArithmeticPart = ArithmeticPart()


@dataclass(frozen=True)
class StudyDocument(Strict):
    """A study file."""

    schema: Literal[1]
    title: NotBlank
    data: ImagesPart
    author: str = ""
    citation: str = ""
    runs: RunsPart = RunsPart()
    conditions: Settings = field(default_factory=dict)
    tables: tuple[TablePart, ...] = ()
    rows: tuple[RowPart, ...] = ()
    published: tuple[PublishedPart, ...] = ()
    metrics: tuple[ComparedMetric, ...] = ()
    confusion: Confusion | None = None
    figures: tuple[StudyFigure, ...] = ()
    definitions: tuple[Definition, ...] = ()
    verdicts: Rules = field(default_factory=Rules)
    claims_note: str = ""
    claims: tuple[Claim, ...] = ()
    errata: ErrataPart = ErrataPart()

"""The schema of data: one variant for each source of images."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from cxr_runner.base.lists import read_list
from cxr_runner.config.values import Count, Seed, Share, Strict

NotEmpty = Annotated[str, StringConstraints(min_length=1)]
Strategy = Literal["given", "random", "patient"]
Bits = Literal["auto", 8, 10, 12, 14, 15, 16]
Windowing = Literal["file", "percentile", "full"]  # of DICOM files: where their window comes from
Fold = Annotated[int, Field(ge=0, lt=2**31)]
Names = str | tuple[str, ...] | None  # one name, or several


@dataclass(frozen=True)
class SplitConfig(Strict):
    """How images are assigned to train, val and test.

    As composed, it may stand for several splits; that of a run has ``repeats`` 1, and with ``folds`` one ``fold``.
    """

    strategy: Strategy | None
    seed: Seed
    repeats: Count
    folds: Annotated[int, Field(ge=2, lt=2**31)] | None
    fold: Literal["all"] | Fold | tuple[Fold, ...]
    val_share: Annotated[float, Field(gt=0, lt=1)]
    keep_test: bool | None


@dataclass(frozen=True)
class DataConfig(Strict):
    """What every source of images has."""

    image_size: Annotated[int, Field(ge=8, le=4096)]
    duplicates: Literal["drop", "keep", "drop_conflicts"]
    on_bad_image: Literal["error", "skip"]
    patient_pattern: Annotated[str, StringConstraints(min_length=1)] | None
    train_share: Annotated[float, Field(gt=0, le=1)]
    split: SplitConfig


@dataclass(frozen=True)
class PhantomConfig(DataConfig):
    """Synthetic phantom data."""

    name: Literal["phantom"]
    num_images: Annotated[int, Field(ge=40, le=100_000)]
    difficulty: Share
    phantom_seed: Seed
    site: Share


@dataclass(frozen=True)
class ChestXrayConfig(DataConfig):
    """The study's data set on the Hugging Face Hub, or a local copy of its files."""

    name: Literal["chest_xray"]
    path: str | None


@dataclass(frozen=True)
class HubFilesConfig(Strict):
    """Which files of a set on the Hub belong to which split."""

    train: NotEmpty | None
    val: NotEmpty | None
    test: NotEmpty | None


@dataclass(frozen=True)
class HubConfig(DataConfig):
    """Any set of images on the Hugging Face Hub, or a local copy of its files."""

    name: Literal["hub"]
    repo: NotEmpty
    revision: NotEmpty | None
    config: NotEmpty | None
    files: HubFilesConfig
    path: str | None
    image_column: NotEmpty | None
    label_column: NotEmpty | None
    split_column: NotEmpty | None
    patient_column: NotEmpty | None
    positive: Names
    negative: Names
    ignore: Names
    allow_unused: Share
    bits: Bits
    title: str
    citation: str


@dataclass(frozen=True)
class FolderConfig(DataConfig):
    """A tree of images in folders."""

    name: Literal["folder"]
    root: Annotated[str, StringConstraints(min_length=1)]
    positive: Names
    negative: Names
    ignore: Names
    class_pattern: NotEmpty | None
    subfolders: Literal["same", "any"]
    allow_unused: Share
    bits: Bits
    window: Windowing
    frame: Count | None
    where: str | None
    subgroups: Names
    title: str
    citation: str


@dataclass(frozen=True)
class ColumnsConfig(Strict):
    """Headers of the columns that filters and subgroups know by a short name."""

    view: str | None
    sex: str | None
    age: str | None


@dataclass(frozen=True)
class SplitFilesConfig(Strict):
    """Files that list the images of a split."""

    train: str | None
    val: str | None
    test: str | None


@dataclass(frozen=True)
class TableConfig(DataConfig):
    """Images beside a table of labels."""

    name: Literal["table"]
    file: Annotated[str, StringConstraints(min_length=1)]
    root: Annotated[str, StringConstraints(min_length=1)]
    image_column: str | None
    label_column: str | None
    patient_column: str | None
    split_column: str | None
    columns: ColumnsConfig
    split_files: SplitFilesConfig
    where: str | None
    positive: Names
    negative: Names
    ignore: Names
    label_separator: NotEmpty | None
    label_match: Literal["contains", "equals"]
    uncertain: Literal["positive", "negative", "drop"] | None
    empty: Literal["negative", "drop"]
    rows: Literal["refuse", "any", "all", "majority"]
    allow_unmatched: Share
    allow_unused: Share
    bits: Bits
    window: Windowing
    frame: Count | None
    subgroups: Names
    title: str
    citation: str


AnyDataConfig = PhantomConfig | ChestXrayConfig | HubConfig | FolderConfig | TableConfig


def subgroups_of(data: AnyDataConfig) -> tuple[str, ...]:
    """Return ``data.subgroups`` as names of columns; text in brackets is a list."""
    given = data.subgroups if isinstance(data, FolderConfig | TableConfig) else None
    if given is None or isinstance(given, tuple):
        return given or ()
    return read_list(given)


def bits_of(data: AnyDataConfig) -> Bits:
    """Return ``data.bits``; images of a source without the key have 8 bits."""
    return data.bits if isinstance(data, FolderConfig | HubConfig | TableConfig) else "auto"

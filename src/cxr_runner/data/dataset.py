"""A data set as a run sees it: an open store, clean, with every image in a split."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.base.errors import RunFailedError, UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.config.schema import AnyDataConfig
from cxr_runner.data import splits
from cxr_runner.data.about import About
from cxr_runner.data.cache import cache_dir
from cxr_runner.data.description import keep_description
from cxr_runner.data.sources import SPLITS
from cxr_runner.data.sources.choose import open_source
from cxr_runner.data.store import Store, changed_images, open_store


@dataclass(frozen=True)
class Dataset:
    """Images, labels and splits of a run.

    Attributes:
        images: uint8 [stored images, side, side]; only the rows named by ``table`` belong to the data set.
        table: one row an image, indexed by its row in ``images``: ``name``, ``label``, ``split``, ``check`` (checksum
            of its pixels).
        class_names: the negative and the positive class.
        about: title, citation, licence.
        duplicates: the dropped images: ``name``, ``same_as``.
        unreadable: the skipped images: ``name``, ``error``.
        store: the folder in the store where what is derived from all its images may be kept.
        fingerprint: 16 hex digits over names, labels, splits and stored pixels, in order.
    """

    images: NDArray[np.uint8]
    table: pd.DataFrame
    class_names: tuple[str, str]
    about: About
    duplicates: pd.DataFrame
    unreadable: pd.DataFrame
    store: Path
    fingerprint: str

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the rows of ``images`` that belong to a split, in order."""
        return self.table.index[self.table["split"] == split].to_numpy(np.int64)

    def labels(self, split: str) -> NDArray[np.int64]:
        """Return the labels of a split, in the order of :meth:`rows`."""
        return self.table["label"][self.table["split"] == split].to_numpy(np.int64)

    def names(self, split: str) -> list[str]:
        """Return the names of a split, in the order of :meth:`rows`."""
        return self.table["name"][self.table["split"] == split].tolist()

    def intact(self) -> bool:
        """Return whether every image is what it was when it was decoded; reads all of them."""
        checks = self.table["check"]
        return not len(changed_images(self.images, checks.index.to_numpy(np.int64), checks.tolist()))

    def describe(self) -> dict[str, Any]:
        """Return what a reader of a run's results has to know of its data, ready for JSON."""
        counts = {
            split: {name: int((self.labels(split) == label).sum()) for label, name in enumerate(self.class_names)}
            for split in SPLITS
        }
        return {
            **asdict(self.about),
            "fingerprint": self.fingerprint,
            "num_images": len(self.table),
            "positive_class": self.class_names[1],
            "counts": counts,
            "duplicates_dropped": self.duplicates.to_dict("records"),
            "unreadable_skipped": self.unreadable.to_dict("records"),
        }


def open_intact(config: AnyDataConfig, dataset: Dataset, reporter: Reporter) -> Dataset:
    """Make sure, before anything is computed from them, that all images are those that the fingerprint is of.

    Args:
        config: that the data set was opened with.
        dataset: as opened.
        reporter: shown the progress where the store was damaged and is built anew.

    Returns:
        The data set, or the same one opened from a new store.

    Raises:
        RunFailedError: there are other images now.
    """
    if dataset.intact():
        return dataset
    again = open_dataset(config, reporter, every_image=True)
    if again.fingerprint != dataset.fingerprint:
        raise RunFailedError("the images have changed since the command began; the same command takes the new ones")
    return again


def open_dataset(config: AnyDataConfig, reporter: Reporter, *, every_image: bool = False) -> Dataset:
    """Open a data set: source, store, unreadable images, duplicates, splits.

    Args:
        config: which data, and what to do with it.
        reporter: shown the progress of the first decoding.
        every_image: see :func:`~cxr_runner.data.store.open_store`.

    Raises:
        UserError: anything about the data is not as it must be.
    """
    source = open_source(config)
    store = open_store(source, config.image_size, cache_dir(), reporter, every_image=every_image)
    readable, unreadable = _set_aside_unreadable(store.table, config)
    duplicates = splits.find_duplicates(readable) if config.duplicates == "drop" else readable.iloc[:0]
    clean = readable.drop(duplicates.index)
    strategy = _strategy(clean, config)
    clean = clean.assign(split=_assign_splits(clean, config, strategy))
    _check_splits(clean, store.class_names, strategy)
    dataset = Dataset(
        images=store.images,
        table=clean[["name", "label", "split", "check"]],
        class_names=store.class_names,
        about=source.about,
        duplicates=duplicates.reindex(columns=["name", "same_as"]),
        unreadable=unreadable,
        store=store.derived,
        fingerprint=_fingerprint(clean, store),
    )
    keep_description(store.path, config, dataset.describe())
    return dataset


def _set_aside_unreadable(table: pd.DataFrame, config: AnyDataConfig) -> tuple[pd.DataFrame, pd.DataFrame]:
    bad = table["error"] != ""
    if bad.any() and config.on_bad_image == "error":
        listed = "; ".join(f"{name} ({error})" for name, error in table.loc[bad, ["name", "error"]].to_numpy())
        valid = f"{bad.sum()} images cannot be read: {listed}. data.on_bad_image=skip leaves them out"
        raise UserError.for_key("data.on_bad_image", "error", valid)
    return table[~bad], table.loc[bad, ["name", "error"]]


def _strategy(table: pd.DataFrame, config: AnyDataConfig) -> str:
    """Return how images are assigned: as asked for, else as the source says, else at random."""
    return config.split.strategy or ("given" if (table["split"] != "").any() else "random")


def _assign_splits(table: pd.DataFrame, config: AnyDataConfig, strategy: str) -> NDArray[Any]:
    labels = table["label"].to_numpy(np.int64)
    if strategy == "random":
        return splits.split_randomly(labels, config.split.seed)
    if strategy == "patient":
        patients = splits.patient_keys(table["name"].tolist(), config.patient_pattern)
        return splits.split_by_patient(labels, patients, config.split.seed)
    if (table["split"] == "").any():
        valid = "not every image of the data is in a split of its own; valid are random and patient"
        raise UserError.for_key("data.split.strategy", strategy, valid)
    return table["split"].to_numpy()


def _check_splits(table: pd.DataFrame, class_names: tuple[str, str], strategy: str) -> None:
    for split in SPLITS:
        for label, name in enumerate(class_names):
            if not ((table["split"] == split) & (table["label"] == label)).any():
                valid = f"leaves the {split} split without a single {name} image"
                way_out = "random makes splits of its own" if strategy == "given" else "more images are needed"
                raise UserError.for_key("data.split.strategy", strategy, f"{valid}; {way_out}")


def _fingerprint(table: pd.DataFrame, store: Store) -> str:
    stored = store.table["stored"][table.index]
    lines = [
        f"{store.class_names}",
        *map(repr, zip(table["name"], table["label"], table["split"], stored, strict=True)),
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

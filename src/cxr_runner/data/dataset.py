"""A data set as a run sees it: a store without unreadable images and duplicates, every image in a split."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, assert_never

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.base.checksums import digest
from cxr_runner.base.errors import RunFailedError, UserError
from cxr_runner.base.numbers import list_few
from cxr_runner.base.progress import Reporter
from cxr_runner.config.schema import AnyDataConfig, Strategy
from cxr_runner.data import splits
from cxr_runner.data.cache import cache_dir, keep_description
from cxr_runner.data.sources import SPLITS, About
from cxr_runner.data.sources.catalogue import open_source
from cxr_runner.data.store import Store, changed_images, open_store


@dataclass(frozen=True)
class Dataset:
    """Images, labels and splits of a run.

    Attributes:
        images: uint8 [stored images, side, side]; only the rows named by ``table`` belong to the data set.
        table: one row an image, indexed by its row in ``images``: ``name``, ``label``, ``split``, ``patient`` ('' where
            it is not known), ``check`` (checksum of its pixels).
        class_names: names of the negative and the positive class.
        about: title, citation, licence.
        duplicates: dropped images: ``name``, ``same_as``.
        unreadable: skipped images: ``name``, ``error``.
        store: folder in the store for what is derived from all its images.
        fingerprint: 16 hex digits over names, labels, splits and stored pixels, in order. Patients are not part of it:
            they decide nothing but the splits.
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

    def patients(self, split: str) -> list[str]:
        """Return the patients of a split, '' where they are not known, in the order of :meth:`rows`."""
        return self.table["patient"][self.table["split"] == split].tolist()

    def intact(self) -> bool:
        """Return whether no image has changed since it was decoded; reads all of them."""
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
    """Check every image of a data set before anything is computed from them.

    Args:
        config: configuration that the data set was opened with.
        dataset: data set to check.
        reporter: shows the progress where the store was damaged and is built anew.

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
        config: configuration of the data.
        reporter: shows the progress of the first decoding.
        every_image: see :func:`~cxr_runner.data.store.open_store`.

    Raises:
        UserError: the source, its images, their splits or their patients are not as the configuration asks for.
    """
    source = open_source(config)
    store = open_store(source, config.image_size, cache_dir(), reporter, every_image=every_image)
    readable, unreadable = _set_aside_unreadable(store.table, config)
    duplicates = splits.find_duplicates(readable) if config.duplicates == "drop" else readable.iloc[:0]
    clean = readable.drop(duplicates.index)
    clean = clean.assign(patient=_patients(clean, config))
    strategy = _strategy(clean, config)
    clean = clean.assign(split=_assign_splits(clean, config, strategy))
    _check_splits(clean, store.class_names, strategy)
    dataset = Dataset(
        images=store.images,
        table=clean[["name", "label", "split", "patient", "check"]],
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
        errors = [f"{name} ({error})" for name, error in table.loc[bad, ["name", "error"]].to_numpy()]
        valid = f"{bad.sum()} images cannot be read: {list_few(errors, '; ')}. data.on_bad_image=skip leaves them out"
        raise UserError.for_key("data.on_bad_image", "error", valid)
    return table[~bad], table.loc[bad, ["name", "error"]]


def _patients(table: pd.DataFrame, config: AnyDataConfig) -> list[str]:
    """Return the patients, as the source knows them, else as the names tell; '' where neither does."""
    from_names = splits.read_patients(table["name"].tolist(), config.patient_pattern)
    return [known or read for known, read in zip(table["patient"], from_names, strict=True)]


def _strategy(table: pd.DataFrame, config: AnyDataConfig) -> Strategy:
    """Return the strategy of the configuration, else that of a source that brings splits, else random."""
    return config.split.strategy or ("given" if (table["split"] != "").any() else "random")


def _assign_splits(table: pd.DataFrame, config: AnyDataConfig, strategy: Strategy) -> NDArray[Any]:
    labels = table["label"].to_numpy(np.int64)
    match strategy:
        case "random":
            return splits.split_randomly(labels, config.split.seed)
        case "patient":
            patients = table["patient"].tolist()
            splits.check_patients(table["name"].tolist(), patients, config.patient_pattern)
            return splits.split_by_patient(labels, patients, config.split.seed)
        case "given":
            if (table["split"] == "").any():
                valid = "some images of the data are in no split; valid are random and patient"
                raise UserError.for_key("data.split.strategy", strategy, valid)
            return table["split"].to_numpy()
        case _:
            assert_never(strategy)


def _check_splits(table: pd.DataFrame, class_names: tuple[str, str], strategy: str) -> None:
    for split in SPLITS:
        for label, name in enumerate(class_names):
            if not ((table["split"] == split) & (table["label"] == label)).any():
                valid = f"leaves the {split} split without a single {name} image"
                remedy = "random makes splits instead" if strategy == "given" else "more images are needed"
                raise UserError.for_key("data.split.strategy", strategy, f"{valid}; {remedy}")


def _fingerprint(table: pd.DataFrame, store: Store) -> str:
    stored = store.table["stored"][table.index]
    lines = [
        f"{store.class_names}",
        *map(repr, zip(table["name"], table["label"], table["split"], stored, strict=True)),
    ]
    return digest("\n".join(lines), 16)

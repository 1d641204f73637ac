"""A data set as a run sees it: a store without unreadable images and duplicates, every image in a split."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.base.cache_folder import cache_dir
from cxr_runner.base.checksums import digest
from cxr_runner.base.progress import Reporter
from cxr_runner.config.data_schema import AnyDataConfig, bits_of
from cxr_runner.data.cache import keep_description
from cxr_runner.data.image_set import Images, select_images
from cxr_runner.data.inventory import take_inventory
from cxr_runner.data.patients import NOBODY, Patients
from cxr_runner.data.quality.checks import NOTHING_CHECKED, Checks, check_images
from cxr_runner.data.sources import SPLITS, About
from cxr_runner.data.sources.catalogue import open_source
from cxr_runner.data.split_assignment import assign_splits
from cxr_runner.data.store import Store, open_store
from cxr_runner.data.train_share import take_share


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
        subgroups: one column for each of ``data.subgroups``, text ('' where it is not known), indexed as ``table``.
        fingerprints: of its parts: ``source`` over labels and pixels of the images in their source's size, whatever
            their names and order, ``split`` over names and splits, ``size`` the side of the stored squares.
        split_facts: how the splits were made: ``strategy``, ``seed``, ``folds``, ``fold``, ``val_share``, ``rotates``
            and ``given_test``, see :class:`~cxr_runner.data.split_assignment.Assignment`; of a share of the training
            images what :class:`~cxr_runner.data.train_share.TrainShare` adds.
        known_patients: what is known of the patients.
        inventory: what was read and what was passed over, see :mod:`~cxr_runner.data.inventory`.
        checks: what is proven to be wrong or doubtful.
        notes: lines on what was made of the source without being asked for.
    """

    images: NDArray[np.uint8]
    table: pd.DataFrame
    class_names: tuple[str, str]
    about: About
    duplicates: pd.DataFrame
    unreadable: pd.DataFrame
    store: Path
    fingerprint: str
    subgroups: pd.DataFrame = field(default_factory=pd.DataFrame)
    fingerprints: dict[str, Any] = field(default_factory=dict)
    split_facts: dict[str, Any] = field(default_factory=dict)
    known_patients: Patients = NOBODY
    inventory: dict[str, Any] = field(default_factory=dict)
    checks: Checks = NOTHING_CHECKED
    notes: tuple[str, ...] = ()

    @property
    def whole_fingerprint(self) -> str:
        """The fingerprint with all training images, which tells the split from others whatever is trained on."""
        return str(self.split_facts.get("whole", self.fingerprint))

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

    def columns(self, split: str) -> pd.DataFrame:
        """Return the subgroups of a split, in the order of :meth:`rows`."""
        return self.subgroups[self.table["split"] == split]

    def _num_patients(self) -> dict[str, int] | None:
        """Return the number of patients in each split; None where patients are not known."""
        if self.known_patients.problem:
            return None
        return {split: len(set(self.patients(split))) for split in SPLITS}

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
            "num_patients": self._num_patients(),
            "duplicates_dropped": self.duplicates.to_dict("records"),
            "unreadable_skipped": self.unreadable.to_dict("records"),
            "fingerprints": self.fingerprints,
            "split": self.split_facts,
            "inventory": self.inventory,
            "notes": list(self.notes),
            "checks": self.checks.as_dict(),
            "warnings": self.checks.warnings(),
        }


def open_intact(images: Images, reporter: Reporter) -> Images:
    """Check all images of data sets before anything is computed from them.

    Args:
        images: images to check.
        reporter: shows the progress where the store was damaged and is built anew.

    Returns:
        The images, or those of a new store, which may be other ones.

    Raises:
        UserError: the source is not as the configuration asks for any more.
    """
    return images if images.intact() else open_images(images.config, reporter, every_image=True)


def open_dataset(config: AnyDataConfig, reporter: Reporter, *, every_image: bool = False) -> Dataset:
    """Open a data set: its images, and their splits.

    Args:
        config: configuration of the data.
        reporter: shows the progress of the first decoding.
        every_image: see :func:`~cxr_runner.data.store.open_store`.

    Raises:
        UserError: the source, its images, their splits or their patients are not as the configuration asks for.
    """
    return split_images(open_images(config, reporter, every_image=every_image), config, reporter)


def open_images(config: AnyDataConfig, reporter: Reporter, *, every_image: bool = False) -> Images:
    """Open the images of a data set, which can be split in several ways then.

    Args:
        config: configuration of the data; its ``split`` is not looked at.
        reporter: shows the progress of the first decoding.
        every_image: see :func:`~cxr_runner.data.store.open_store`.

    Raises:
        UserError: the source, its images or their patients are not as the configuration asks for.
    """
    source = open_source(config)
    bits = bits_of(config)
    store = open_store(source, config.image_size, cache_dir(), reporter, bits=bits, every_image=every_image)
    return select_images(config, source, store)


def split_images(images: Images, config: AnyDataConfig, reporter: Reporter) -> Dataset:
    """Make a data set of images: assign each to a split, and check the splits.

    Args:
        images: images that were opened with the same configuration, but for its ``split``.
        config: configuration of the data.
        reporter: shows the progress of the checks.

    Raises:
        UserError: the splits are not as the configuration asks for.
    """
    asked = replace(images.config, split=config.split, train_share=config.train_share)
    assert config == asked, "other images than these are asked for"
    store, about, patients = images.store, images.about, images.patients
    assignment = assign_splits(images.table, patients, config, store.class_names)
    table = images.table.assign(split=assignment.splits)
    share = take_share(table, patients, config, store.class_names)
    facts, notes = assignment.describe(config.split), (*images.notes, *assignment.notes, patients.said())
    if share is not None:
        facts, notes = facts | share.describe(_fingerprint(table, store)), (*notes, share.note)
        table = table[share.kept]
    fingerprint = _fingerprint(table, store)
    given = assignment.given_test and not about.synthetic
    splits = assignment.splits if share is None else np.where(share.kept, assignment.splits, "")
    checks = check_images(images.checks, splits, reporter, given=given, fingerprint=fingerprint)
    dataset = Dataset(
        images=store.images,
        table=table[["name", "label", "split", "patient", "check"]],
        subgroups=images.subgroups.loc[table.index],
        class_names=store.class_names,
        about=about,
        duplicates=images.duplicates,
        unreadable=images.unreadable,
        store=store.derived,
        fingerprint=fingerprint,
        fingerprints=_fingerprints(images, table),
        split_facts=facts,
        known_patients=patients,
        inventory=take_inventory(table, store.class_names, images.passed_over, store.bits)
        | {"filtered": images.filtered},
        checks=checks,
        notes=tuple(filter(None, notes)),
    )
    keep_description(store.path, config, dataset.describe())
    return dataset


def _fingerprint(table: pd.DataFrame, store: Store) -> str:
    stored = store.table["stored"][table.index]
    lines = [
        f"{store.class_names}",
        *map(repr, zip(table["name"], table["label"], table["split"], stored, strict=True)),
    ]
    return digest("\n".join(lines), 16)


def _fingerprints(images: Images, table: pd.DataFrame) -> dict[str, Any]:
    """Return the fingerprints of the parts of a data set: which of two differ tells what can be compared."""
    split = sorted(zip(table["name"], table["split"], strict=True))
    return {"source": images.fingerprint, "split": digest(repr(split), 16), "size": images.config.image_size}

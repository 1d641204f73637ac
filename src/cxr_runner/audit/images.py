"""The images of an audit: those that a run sees, and those that it never sees."""

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from cxr_runner.base.cache_folder import cache_dir
from cxr_runner.base.errors import UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.config.data_schema import AnyDataConfig, bits_of
from cxr_runner.data.dataset import Dataset, open_dataset
from cxr_runner.data.inventory import take_inventory
from cxr_runner.data.sources import About
from cxr_runner.data.sources.catalogue import open_source
from cxr_runner.data.store import Store, open_store


@dataclass(frozen=True)
class AuditedData:
    """A data set, together with the images that a run leaves out.

    Attributes:
        config: configuration of the data, as asked for.
        about: title, citation, licence.
        store: all images, duplicates and unreadable ones included.
        readable: the rows of the store's table that can be read; ``split`` is that of ``dataset``, '' for an image that
            it leaves out.
        unreadable: ``name`` and ``error`` of the other rows.
        dataset: the data set of a run; None where no run can be trained.
        obstacle: why no run can be trained on these images; '' where one can.
    """

    config: AnyDataConfig
    about: About
    store: Store
    readable: pd.DataFrame
    unreadable: pd.DataFrame
    dataset: Dataset | None
    obstacle: str

    @property
    def class_names(self) -> tuple[str, str]:
        """The negative and the positive class."""
        return self.store.class_names

    def inventory(self) -> dict[str, Any]:
        """Return the inventory of all readable images, where there are no splits."""
        table = self.readable.assign(split="train")
        return take_inventory(table, self.class_names, self.store.passed_over, self.store.bits)


def open_for_audit(config: AnyDataConfig, reporter: Reporter) -> AuditedData:
    """Open a data set for an audit, which goes on where a run would have to stop.

    Args:
        config: configuration of the data.
        reporter: shows the progress of a first decoding.

    Raises:
        UserError: the source is not valid, or none of its images can be read.
    """
    source = open_source(config)
    store = open_store(source, config.image_size, cache_dir(), reporter, bits=bits_of(config), every_image=True)
    bad = store.table["error"] != ""
    if bad.all():
        valid = f"not one of {len(bad):,} images can be read: {store.table['name'][0]} ({store.table['error'][0]}) ..."
        raise UserError.for_key("data", config.name, valid)
    dataset, obstacle = _open_dataset(_lenient(config, store.table, bad))
    splits = dataset.table["split"] if dataset else store.table["split"]
    readable = store.table[~bad].assign(split=splits.reindex(store.table.index[~bad]).fillna(""))
    unreadable = store.table.loc[bad, ["name", "error"]]
    return AuditedData(config, source.about, store, readable, unreadable, dataset, obstacle)


def conflicting_labels(table: pd.DataFrame) -> list[list[str]]:
    """Return the names of identical images that carry different labels, one list a group.

    Args:
        table: images, with columns ``name``, ``label`` and ``pixels``.
    """
    labels = table.groupby("pixels")["label"].transform("nunique")
    return [group["name"].tolist() for _, group in table[labels > 1].groupby("pixels", sort=False)]


def _lenient(config: AnyDataConfig, table: pd.DataFrame, bad: "pd.Series[bool]") -> AnyDataConfig:
    """Return a configuration that skips unreadable images and keeps duplicates in both classes."""
    lenient = replace(config, on_bad_image="skip") if bad.any() else config
    return replace(lenient, duplicates="keep") if conflicting_labels(table[~bad]) else lenient


def _open_dataset(config: AnyDataConfig) -> tuple[Dataset | None, str]:
    """Return the data set of a run, or None and the reason."""
    try:
        return open_dataset(config, Reporter()), ""
    except UserError as error:
        return None, str(error)

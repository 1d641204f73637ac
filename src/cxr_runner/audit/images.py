"""What an audit looks at: the images as a run sees them, and those that a run would never see."""

from dataclasses import dataclass, replace

import pandas as pd

from cxr_runner.base.errors import UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.config.schema import AnyDataConfig
from cxr_runner.data.about import About
from cxr_runner.data.cache import cache_dir
from cxr_runner.data.dataset import Dataset, open_dataset
from cxr_runner.data.sources.choose import open_source
from cxr_runner.data.store import Store, open_store


@dataclass(frozen=True)
class Material:
    """A data set with everything that is wrong with it.

    Attributes:
        config: as asked for.
        about: title, citation, licence.
        store: all images, duplicates and unreadable ones among them.
        readable: the rows of the store's table that can be read, with ``split`` as the data set below has it ('' for
            what it leaves out).
        unreadable: ``name`` and ``error`` of the others.
        dataset: what a run is trained on; None where no run can be.
        obstacle: why no run can be trained on these images, '' where one can.
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


def open_material(config: AnyDataConfig, reporter: Reporter) -> Material:
    """Open a data set for an audit, which goes on where a run would have to stop.

    Args:
        config: which data.
        reporter: shown the progress of a first decoding.

    Raises:
        UserError: the source is not as it must be, or not one image of it can be read.
    """
    source = open_source(config)
    store = open_store(source, config.image_size, cache_dir(), reporter, every_image=True)
    bad = store.table["error"] != ""
    if bad.all():
        valid = f"not one of {len(bad):,} images can be read: {store.table['name'][0]} ({store.table['error'][0]}) ..."
        raise UserError.for_key("data", config.name, valid)
    lenient = replace(config, on_bad_image="skip") if bad.any() else config
    if conflicting_labels(store.table[~bad]):
        lenient = replace(lenient, duplicates="keep")
    dataset, obstacle = None, ""
    try:
        dataset = open_dataset(lenient, Reporter())
    except UserError as error:
        obstacle = str(error)
    splits = dataset.table["split"] if dataset else store.table["split"]
    readable = store.table[~bad].assign(split=splits.reindex(store.table.index[~bad]).fillna(""))
    return Material(config, source.about, store, readable, store.table.loc[bad, ["name", "error"]], dataset, obstacle)


def conflicting_labels(table: pd.DataFrame) -> list[list[str]]:
    """Return the names of equal images that carry different labels, one list a group.

    Args:
        table: with columns ``name``, ``label`` and ``pixels``.
    """
    labels = table.groupby("pixels")["label"].transform("nunique")
    return [group["name"].tolist() for _, group in table[labels > 1].groupby("pixels", sort=False)]

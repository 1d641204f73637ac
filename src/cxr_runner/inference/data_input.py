"""The images of a data source, decoded once into the cache, as a model takes them."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from cxr_runner.base.cache_folder import cache_dir
from cxr_runner.base.progress import Reporter
from cxr_runner.config.data_schema import AnyDataConfig, bits_of
from cxr_runner.data.sources.catalogue import open_source
from cxr_runner.data.store import Store, open_store
from cxr_runner.inference.image_input import Prepared

_AT_ONCE = 512  # images


@dataclass(frozen=True, eq=False)
class StoredInput:
    """Images of a store.

    Attributes:
        store: the store.
        table: those rows of its table that are meant.
    """

    store: Store
    table: pd.DataFrame

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.table)

    def chunks(self) -> Iterator[list[Prepared]]:
        """Yield the images some at a time, in order; those that cannot be read say why."""
        columns = zip(self.table.index, *(self.table[column] for column in ("name", "mode", "error")), strict=True)
        waiting: list[Prepared] = []
        for row, name, mode, error in columns:
            waiting.append(Prepared(str(name), self.store.images[row], str(mode), str(error)))
            if len(waiting) == _AT_ONCE:
                yield waiting
                waiting = []
        if waiting:
            yield waiting


def open_input(config: AnyDataConfig, reporter: Reporter) -> StoredInput:
    """Open all images of a source, those that cannot be read among them; labels and splits count for nothing.

    Raises:
        UserError: the source is not as the configuration asks for.
    """
    store = open_store(open_source(config), config.image_size, cache_dir(), reporter, bits=bits_of(config))
    return StoredInput(store, store.table)

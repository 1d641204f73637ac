"""What a data set holds, told at once where it has been opened before.

Opening a data set leaves its description in the folder of the store; reading it takes neither pandas nor the pixels.
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cxr_runner.artifacts import read_json, write_json
from cxr_runner.cache import cache_dir, store_path
from cxr_runner.config import AnyDataConfig
from cxr_runner.locks import tidied
from cxr_runner.opening import open_source
from cxr_runner.progress import Reporter


def describe(config: AnyDataConfig, reporter: Reporter) -> tuple[dict[str, Any], Path]:
    """Say what a data set holds, opening it only where it never was.

    Args:
        config: which data, and what to do with it.
        reporter: shown the progress of a first decoding.

    Returns:
        What :meth:`cxr_runner.dataset.Dataset.describe` gives, and the folder of the store.

    Raises:
        UserError: anything about the data is not as it must be.
    """
    store = store_path(open_source(config), config.image_size, cache_dir())
    description = read_json(_path(store, config)) if (store / "meta.json").is_file() else None
    if description is None:
        from cxr_runner.dataset import open_dataset  # pandas

        description = open_dataset(config, reporter).describe()
    return description, store


def keep_description(store: Path, config: AnyDataConfig, description: dict[str, Any]) -> None:
    """Leave a description in the folder of a store; one that is read-only stays as it is."""
    path = _path(store, config)
    if read_json(path) != description:
        with suppress(OSError), tidied(path.parent):
            write_json(path, description)


def _path(store: Path, config: AnyDataConfig) -> Path:
    """Return where the description is kept: of this configuration, as this version of the program splits it."""
    key = json.dumps([version("cxr-runner"), asdict(config)])
    return store / "descriptions" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"

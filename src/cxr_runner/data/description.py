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

from cxr_runner.base.files import read_json, write_json
from cxr_runner.base.locks import locked_folder
from cxr_runner.config.schema import AnyDataConfig


def keep_description(store: Path, config: AnyDataConfig, description: dict[str, Any]) -> None:
    """Leave a description in the folder of a store; one that is read-only stays as it is."""
    path = _path(store, config)
    if read_json(path) != description:
        with suppress(OSError), locked_folder(path.parent):
            write_json(path, description)


def _path(store: Path, config: AnyDataConfig) -> Path:
    """Return where the description is kept: of this configuration, as this version of the program splits it."""
    key = json.dumps([version("cxr-runner"), asdict(config)])
    return store / "descriptions" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"

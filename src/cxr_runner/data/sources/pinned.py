"""The files of the study's data set: one revision on the Hub, and the SHA-256 that each file must have.

``chest_xray.json`` beside this module holds both. A sum that is not known there is null: the file is then read all the
same, and whoever uses its images is told that nobody verified them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxr_runner.base.checksums import digest_of_file
from cxr_runner.base.errors import UserError
from cxr_runner.base.files import write_text
from cxr_runner.base.markdown import printable

PINNED = Path(__file__).with_name("chest_xray.json")


def read_pinned() -> dict[str, Any]:
    """Return ``repo``, ``revision`` and ``files``: by split, ``path`` and ``sha256``."""
    pinned: dict[str, Any] = json.loads(PINNED.read_text("utf-8"))
    return pinned


def altered_files(files: Mapping[str, Path], sums: Mapping[str, str | None]) -> list[str]:
    """Compare files with the sums that are known of them.

    Args:
        files: files by split.
        sums: hex SHA-256 by split; None where it is not known.

    Returns:
        A phrase for each file that has another sum.
    """
    phrases = []
    for split, file in files.items():
        known = sums[split]
        if known is not None and (actual := digest_of_file(file)) != known:
            phrases.append(f"{printable(str(file))} has SHA-256 {actual[:12]}..., not {known[:12]}...")
    return phrases


def pin(files: Mapping[str, Path]) -> list[str]:
    """Write the sums of files into ``chest_xray.json``, where none is known yet.

    Args:
        files: files by split.

    Returns:
        A line for each file, as ``sha256sum`` writes it.

    Raises:
        UserError: a file has another sum than is pinned already, or the package cannot be written to.
    """
    pinned = read_pinned()
    if altered := altered_files(files, {split: file["sha256"] for split, file in pinned["files"].items()}):
        raise UserError(f"{'; '.join(altered)}: what is pinned in {PINNED} is not replaced")
    for split, file in files.items():
        pinned["files"][split]["sha256"] = digest_of_file(file)
    try:
        write_text(PINNED, json.dumps(pinned, indent=2) + "\n")
    except OSError as error:
        raise UserError(f"{PINNED} cannot be written ({error.strerror}); a checkout is needed") from error
    return [f"{pinned['files'][split]['sha256']}  {printable(str(file))}" for split, file in files.items()]

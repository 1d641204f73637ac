"""Links from the page to the directories of runs, and to the pictures in them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from cxr_runner.report.collected import Collected
from cxr_runner.report.collected_runs import CollectedRun


class Link(NamedTuple):
    """Words, and the address that they lead to."""

    words: str
    address: str


def run_links(collected: Collected, out: Path) -> list[list[Link]]:
    """Return the links of every run, in the order of the table of runs.

    There are none to what lies in an archive, nor where something was left out on request.

    Args:
        collected: what the report is made from.
        out: folder of the report, which the links begin at.
    """
    return [
        [] if collected.archived or runs.withheld.words else list(_links(run, out.resolve()))
        for runs in collected.data_sets
        for sized in runs.sizes
        for run in sized.ordered
    ]


def _links(run: CollectedRun, out: Path) -> Iterator[Link]:
    try:
        directory = Path(os.path.relpath(run.directory, out)).as_posix()
    except ValueError:  # on another drive
        return
    yield Link("files", f"{quote(directory)}/")
    for name in run.pictures:
        yield Link(name.partition(".")[0], quote(f"{directory}/{name}"))

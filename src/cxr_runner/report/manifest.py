"""Which files of a report are ours: what an earlier report wrote goes before the next one, and nothing else."""

import re
from collections.abc import Collection, Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath

from cxr_runner.base.checked_json import read_checked_json, write_checked_json

FOLDERS = ("figures", "tables")
_NAME = "manifest.json"
_UNFINISHED = re.compile(r"\.(.*)\.[0-9a-f]{8}\.tmp(\..*)")  # as base.files.replacing() calls a file
_TITLE = "<title>Results: cxr_runner</title>"  # of the page of every report: another page may link what is not ours


def replace_files(out: Path, names: Iterable[str]) -> None:
    """Remove what an earlier report wrote, make the folders, and note what this one is about to write.

    The note comes first: a report that is cut off leaves no file that the next one does not know, the unfinished ones
    of a killed process included.

    Args:
        out: folder of the report, which no other process writes to meanwhile.
        names: paths of the files that will be written, relative to it.
    """
    wanted, earlier = sorted(names), set(filter(_is_ours, _earlier(out)))
    for name in earlier:  # no folder, no path out of these, whatever a manifest may say
        if (out / name).is_file():
            (out / name).unlink()
    _remove_unfinished(out, earlier.union(wanted, [_NAME]))
    for folder in FOLDERS:
        (out / folder).mkdir(parents=True, exist_ok=True)
    write_checked_json(out / _NAME, {"files": wanted})


def _is_ours(name: str) -> bool:
    path = PurePosixPath(name)
    return len(path.parts) == 2 and path.parts[0] in FOLDERS and path.name != ".."


def _remove_unfinished(out: Path, names: Collection[str]) -> None:
    """Remove what a killed process has left of these files; temporary files of others may lie beside them."""
    for folder in ("", *FOLDERS):
        for path in (out / folder).glob(".*.tmp*"):
            parts = _UNFINISHED.fullmatch(path.name)
            if parts and str(PurePosixPath(folder, parts[1] + parts[2])) in names:
                path.unlink(missing_ok=True)


def _earlier(out: Path) -> Iterator[str]:
    """Yield the files of an earlier report; one that left no manifest, or a damaged one, links all on its page."""
    content, intact = read_checked_json(out / _NAME)
    if content and intact is not False:
        files = content.get("files")
        yield from (name for name in files if isinstance(name, str)) if isinstance(files, list) else ()
        return
    try:
        page = (out / "index.html").read_text("utf-8")
    except (OSError, ValueError):
        return
    if _TITLE in page:
        links = _Links()
        links.feed(page)
        yield from links.addresses


class _Links(HTMLParser):
    """Gathers the addresses that a page links to."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.addresses += [value for name, value in attrs if name == "href" and value]

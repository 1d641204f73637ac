"""Which files of a report are ours: what an earlier report wrote goes before the next one, and nothing else."""

from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath

from cxr_runner.base.files import read_json, write_json

FOLDERS = ("figures", "tables")
_NAME = "manifest.json"
_TITLE = "<title>Results: cxr_runner</title>"  # of the page of every report: another page may link what is not ours


def replace_files(out: Path, names: Iterable[str]) -> None:
    """Remove what an earlier report wrote, make the folders, and note what this one is about to write.

    The note comes first: a report that is cut off leaves no file that the next one does not know.

    Args:
        out: folder of the report.
        names: paths of the files that will be written, relative to it.
    """
    for name in _earlier(out):
        path = PurePosixPath(name)
        ours = len(path.parts) == 2 and path.parts[0] in FOLDERS and path.name != ".."
        if ours and (out / path).is_file():  # no folder, no path out of these, whatever a manifest may say
            (out / path).unlink()
    for folder in FOLDERS:
        (out / folder).mkdir(parents=True, exist_ok=True)
    write_json(out / _NAME, {"files": sorted(names)})


def _earlier(out: Path) -> Iterator[str]:
    """Yield the files of an earlier report; one that left no manifest links all of them on its page."""
    content = read_json(out / _NAME)
    if content is not None:
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

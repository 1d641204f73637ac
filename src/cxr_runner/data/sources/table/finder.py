"""The files that the rows of a table name, below a root, with whatever prefix and ending the table has."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from cxr_runner.data.extras import DICOM_ENDINGS
from cxr_runner.data.sources.names import fold
from cxr_runner.data.sources.walk import SUFFIXES, File


class Finder:
    """Finds files by the names that a table gives them."""

    def __init__(self, files: Sequence[File]) -> None:
        """Index the files below the root."""
        self.by_stem: dict[str, list[tuple[tuple[str, ...], File]]] = defaultdict(list)
        for file in files:
            parts = _parts(file.name)
            self.by_stem[parts[-1]].append((parts, file))
        self.num_named: Counter[str] = Counter()
        self._looked_up: dict[str, list[File]] = {}  # tables ask for a name several times

    def expect(self, names: Iterable[str]) -> None:
        """Take note of all names that the table has: a name that stands there with several folders is none alone."""
        self.num_named = Counter(_parts(name)[-1] for name in set(names))
        self._looked_up.clear()

    def find(self, name: str) -> File | None:
        """Return the only file that a name means; None where there is none, or where several may be meant."""
        found = self.candidates(name)
        return found[0] if len(found) == 1 else None

    def candidates(self, name: str) -> list[File]:
        """Return the files that a name may mean.

        One path has to end with the other, folders and all: the table may know more folders, or the tree. In other
        folders, or without any, a file is taken if no other has its name, in the tree and in the table.
        """
        if name not in self._looked_up:
            self._looked_up[name] = self._look_up(name)
        return self._looked_up[name]

    def _look_up(self, name: str) -> list[File]:
        wanted = _parts(name)
        known = self.by_stem.get(wanted[-1], [])
        ending = [(parts, file) for parts, file in known if _ends_alike(parts, wanted)]
        by_name_alone = len(wanted) > 1 and all(len(parts) == 1 for parts, _ in ending)
        if (not ending and len(known) == 1) or by_name_alone:
            ending = known if self.num_named[wanted[-1]] <= 1 else []
        exact = [file for _, file in ending if _suffix(file.name) == _suffix(name)] if len(ending) > 1 else []
        return exact or [file for _, file in ending]


def _parts(name: str) -> tuple[str, ...]:
    """Return the folded parts of a path, the last one without the ending of an image."""
    parts = [part for part in fold(name.replace("\\", "/")).split("/") if part not in ("", ".")] or [""]
    if parts[-1].endswith((*SUFFIXES, *DICOM_ENDINGS)):
        parts[-1] = parts[-1].rpartition(".")[0]
    return tuple(parts)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _ends_alike(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    shared = min(len(one), len(other))
    return one[-shared:] == other[-shared:]

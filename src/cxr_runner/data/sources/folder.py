"""Images in folders: ``DIR/<class>/*`` or ``DIR/<split>/<class>/*``."""

import heapq
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from cxr_runner.base.checksums import digest
from cxr_runner.base.errors import BadImageError, UnavailableImageError, UserError
from cxr_runner.base.numbers import list_few
from cxr_runner.data.sources import SPLITS, TIDY, About, Listing, LoadedImage, Record, untidy

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".bmp", ".webp")
"""Endings, in any case, of the files that count as images."""

MAX_BYTES = 10**9
"""Larger files are refused unread: as many pixels as are allowed take less, uncompressed and with 16 bits a channel."""

MOST_ENTRIES = 2_000_000
"""Files and folders that are looked at; a root that leads to more is a whole disk, as ``/proc/self``, and no data."""

SPLIT_FOLDERS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""The split that a folder's name stands for, in lower case."""

_LAYOUT = "DIR/<class>/* or DIR/<split>/<class>/*"
# Copies and thumbnails that archive tools and network drives leave beside the images.
_JUNK_FOLDERS = ("__macosx", "@eadir")


class _File(NamedTuple):
    name: str
    size: int
    mtime_ns: int
    ctime_ns: int  # changes with the content even where copying tools set the other back

    @property
    def folders(self) -> list[str]:
        return self.name.split("/")[:-1]


class _Image(NamedTuple):
    file: _File
    split: str | None
    class_folder: str


@dataclass(frozen=True)
class FolderSource:
    """Two classes of images in a tree of folders.

    Class and split folders may be spelled in any case, and images may lie at any depth below a class folder.
    Passed over: images outside class folders, hidden files and folders, and files that are no images. Links are
    followed; a folder that several paths lead to counts once, by the path with the fewest links, of these the first.

    Args:
        root: top of the tree.
        positive: class coded 1, in any case; None takes the one called pneumonia.
        title: short name for people; the folder's name where empty.
        citation: reference to cite.
        require_splits: whether a tree is refused unless its train, val and test folders each hold both classes.
    """

    root: Path
    positive: str | None = None
    title: str = ""
    citation: str = ""
    require_splits: bool = False

    @property
    def about(self) -> About:
        """Title and citation as given."""
        return About(title=self.title or self.root.absolute().name, citation=self.citation)

    def signature(self) -> str:
        """Return a digest of the listing and of every image's size and time of change.

        Raises:
            UserError: as :meth:`scan` does.
        """
        return self._scanned[1]

    def scan(self) -> Listing:
        """List the images, sorted by name; the tree is walked once in the life of the object.

        Raises:
            UserError: there is no such folder, it cannot be read, or its layout is not valid; or
                ``data.positive`` is needed, or names neither class.
        """
        return self._scanned[0]

    def load(self, index: int) -> LoadedImage:
        """Read and decode one image.

        Args:
            index: position in the listing.

        Raises:
            UnavailableImageError: the file cannot be read now.
            BadImageError: the file cannot be decoded, or is larger than :data:`MAX_BYTES`.
        """
        try:
            with (self.root / self.scan().records[index].name).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise UnavailableImageError(f"cannot be read: {error.strerror}") from error
        if len(data) > MAX_BYTES:
            raise BadImageError(f"more than {MAX_BYTES:,} bytes")
        from cxr_runner.data.decode import decode_grey  # NumPy and Pillow, which a look at the listing does without

        return LoadedImage(grey=decode_grey(data), digest=digest(data))

    @cached_property
    def _scanned(self) -> tuple[Listing, str]:
        files, repeated = self._files()
        images = self._images(files)
        self._check_repeated(images, repeated)
        negative, positive = self._class_names(images, files)
        records = tuple(
            Record(image.file.name, int(image.class_folder.casefold() == positive.casefold()), image.split)
            for image in images
        )
        listing = Listing(records, (negative, positive))
        if self.require_splits:
            self._check_splits(listing)
        changes = [image.file[1:] for image in images]
        return listing, digest(repr((listing, changes)))

    def _files(self) -> tuple[list[_File], dict[str, str]]:
        """List the images anywhere below the root, and the paths that were passed over with those that counted."""
        repeated: dict[str, str] = {}
        try:
            files = sorted(self._walk(SUFFIXES, repeated))
        except OSError as error:
            if not self.root.is_dir():
                missing = "not a folder" if self.root.exists() else "no such folder"
                raise self._error(f"{missing}; give one laid out as {_LAYOUT}") from error
            raise self._error(f"{error.filename} cannot be read: {error.strerror}") from error
        if names := untidy(file.name for file in files):
            raise self._error(f"{TIDY}; rename {list_few(sorted(names))}")
        return files, repeated

    def _images(self, files: list[_File]) -> list[_Image]:
        """Read split and class off the folders of each image; the names of the top folders decide the layout."""
        inside = [file for file in files if file.folders]
        splits = {name for file in inside if _split(name := file.folders[0])}
        if not splits:
            return [_Image(file, None, file.folders[0]) for file in inside]
        # Some copies of the study's images come with a second copy of the whole tree beside the splits.
        copies = {file.folders[0] for file in inside if len(file.folders) > 1 and _split(file.folders[1])}
        if stray := {file.folders[0] for file in inside} - splits - copies:
            both = f"images lie both inside and outside the split folders {list_few(sorted(splits))}"
            raise self._error(f"{both}; move away {list_few(sorted(stray))}")
        return [
            _Image(file, split, file.folders[1])
            for file in inside
            if (split := _split(file.folders[0])) and len(file.folders) > 1
        ]

    def _check_repeated(self, images: list[_Image], repeated: dict[str, str]) -> None:
        """Refuse a folder of images that links place in both classes: which label is right cannot be told."""
        with_splits = any(image.split for image in images)

        def class_of(prefix: str) -> str:
            folders = prefix.split("/")[:-1]
            if with_splits:
                folders = folders[1:] if _split(folders[0]) else []
            return folders[0].casefold() if folders else ""

        for passed_over, counted in repeated.items():
            one, other = class_of(counted) if counted else "", class_of(passed_over)
            if one and other and one != other and any(image.file.name.startswith(counted) for image in images):
                raise self._error(
                    f"{counted} and {passed_over} are one folder, which lies in two classes; remove a link"
                )

    def _class_names(self, images: list[_Image], files: list[_File]) -> tuple[str, str]:
        """Return the negative and the positive class, each as it is first spelled."""
        spelled: dict[str, str] = {}
        for image in images:
            spelled.setdefault(image.class_folder.casefold(), image.class_folder)
        if len(spelled) != 2:
            raise self._error(self._why_not_two(list(spelled.values()), files))
        wanted = (self.positive or "pneumonia").casefold()
        if wanted not in spelled:
            valid = f"the class coded 1 must be one of {list_few(sorted(spelled.values()))}"
            raise UserError.for_key("data.positive", self.positive, valid)
        positive = spelled.pop(wanted)
        return next(iter(spelled.values())), positive

    def _why_not_two(self, classes: list[str], files: list[_File]) -> str:
        if not files and any(self._walk((".dcm", ".dicom"), {})):
            return "holds DICOM files and no images; convert them to PNG first"
        if not classes:
            return f"no images in class folders; it must be laid out as {_LAYOUT} ({', '.join(SUFFIXES)})"
        found = f"{len(classes)} ({list_few(sorted(classes))})"
        why = f"two classes with images are needed, found {found}; lay it out as {_LAYOUT}"
        inner = {file.folders[1] for file in files if len(file.folders) > 1}
        if len(classes) == 1 and len(inner) > 1 and not any(_split(file.folders[0]) for file in files):
            why += f"; perhaps data.root={self.root / classes[0]}"
        return why

    def _check_splits(self, listing: Listing) -> None:
        present = {(record.split, record.label) for record in listing.records}
        lacking = [
            f"{split} has no {name}"
            for split in SPLITS
            for label, name in enumerate(listing.class_names)
            if (split, label) not in present
        ]
        if lacking:
            splits = [split for split in SPLITS if any(split == known for known, _ in present)]
            raise self._error(
                f"{', '.join(lacking)} images (splits found: {', '.join(splits) or 'none'}); each of the folders "
                "train, val and test must hold both classes, or data.split.strategy=random makes splits instead"
            )

    def _walk(self, suffixes: tuple[str, ...], repeated: dict[str, str]) -> Iterator[_File]:
        """Yield the files below the root that end with one of ``suffixes``; note folders that are passed over."""
        num_entries = 0
        visited: dict[tuple[int, int], str] = {}
        # By the number of links on the path, then by name: which of several paths to a folder is taken must not depend
        # on the order in which the file system lists them.
        pending = [(0, "")]
        while pending:
            num_links, prefix = heapq.heappop(pending)
            # With n folders that link to each other, each lies behind more than (n - 1)! paths.
            if (counted := visited.setdefault(_identity(self.root / prefix), prefix)) != prefix:
                repeated[prefix] = counted
                continue
            with os.scandir(self.root / prefix) as entries:
                for entry in entries:
                    num_entries += 1
                    if num_entries > MOST_ENTRIES:
                        valid = f"leads to more than {MOST_ENTRIES:,} files and folders"
                        raise self._error(f"{valid}; name a folder that holds the images and little else")
                    if entry.name.startswith(".") or entry.name.casefold() in _JUNK_FOLDERS:
                        continue
                    name = prefix + entry.name
                    try:
                        status = entry.stat()
                    except OSError:
                        # A dangling link is still an image that the user has listed: loading it says what is wrong.
                        if name.lower().endswith(suffixes):
                            yield _File(name, 0, 0, 0)
                        continue
                    if stat.S_ISDIR(status.st_mode):
                        heapq.heappush(pending, (num_links + entry.is_symlink(), f"{name}/"))
                    elif stat.S_ISREG(status.st_mode) and name.lower().endswith(suffixes):
                        yield _File(name, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def _error(self, valid: str) -> UserError:
        return UserError.for_key("data.root", self.root, valid)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _split(folder: str) -> str | None:
    return SPLIT_FOLDERS.get(folder.casefold())

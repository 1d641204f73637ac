"""Images in folders: ``DIR/<class>/*``, ``DIR/<split>/<class>/*`` or ``DIR/<class>/<split>/*``."""

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cxr_runner.base.checksums import digest
from cxr_runner.base.errors import UserError
from cxr_runner.base.numbers import list_few
from cxr_runner.data.extras import AS_IN_FILE, INSTALL_DICOM, DicomOptions, reads_dicom
from cxr_runner.data.sources import TIDY, About, Listing, LoadedImage, PassedOver, Record, Source, untidy
from cxr_runner.data.sources.classes import Classes, Names, choose_classes, read_names
from cxr_runner.data.sources.image_file import dicom_signature, load_file
from cxr_runner.data.sources.layout import (
    LAYOUTS,
    OUTSIDE,
    UNMATCHED,
    Layout,
    LayoutError,
    Placed,
    read_layout,
    read_matches,
)
from cxr_runner.data.sources.names import fold, names_mask, split_of, split_word
from cxr_runner.data.sources.walk import (
    SUFFIXES,
    File,
    Kind,
    TooManyEntriesError,
    Tree,
    read_tree,
    suffix_of,
)

# Folders whose names say what they hold, not of which class it is.
_NO_CLASSES = ("images", "image", "imgs", "img", "pictures", "docs", "doc", "documentation", "annotations", "labels")
_SIGNATURE = "folder of images, with depths"  # differs from that of stores that knew no depths

Stray = list[tuple[File, str]]


@dataclass(frozen=True)
class FolderOptions:
    """What is to be made of the folders; as in :class:`~cxr_runner.config.data_schema.FolderConfig`."""

    positive: Names = None
    negative: Names = None
    ignore: Names = None
    subfolders: str = "same"
    allow_unused: float = 0.05
    dicom: DicomOptions = AS_IN_FILE
    class_pattern: str | None = None


@dataclass(frozen=True)
class FolderSource(Source):
    """Two classes of images in a tree of folders.

    Class and split folders may be spelled in any case, and images may lie at any depth below a class folder. Images
    outside class folders, in left-out classes and in formats that are not read are passed over and counted.

    Args:
        root: top of the tree.
        options: what is to be made of it.
        title: short name for people; the folder's name where empty.
        citation: reference to cite.
    """

    root: Path
    options: FolderOptions = FolderOptions()
    title: str = ""
    citation: str = ""

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
            UserError: there is no such folder, it cannot be read, or its layout is not valid; the classes are not
                clear; or more is passed over than is allowed.
        """
        return self._scanned[0]

    def passed_over(self) -> tuple[PassedOver, ...]:
        """Return the files that are left out now, by suffix and reason."""
        return self.scan().passed_over

    def load(self, index: int) -> LoadedImage:
        """Read and decode one image.

        Args:
            index: position in the listing.

        Raises:
            UnavailableImageError: the file cannot be read now.
            BadImageError: the file cannot be decoded, or is too large.
        """
        return load_file(self.root / self.scan().records[index].name, self.options.dicom)

    @cached_property
    def _scanned(self) -> tuple[Listing, str]:
        tree = self._read_tree()
        if not tree.dicom or reads_dicom():
            return self._scan(tree)
        try:
            return self._scan(tree)
        except UserError as error:
            raise UserError(f"{error}; {INSTALL_DICOM} reads the {len(tree.dicom):,} DICOM files") from None

    def _scan(self, tree: Tree) -> tuple[Listing, str]:
        tree, stray = self._without_ignored(tree)
        self._check_masks(tree.files[Kind.IMAGE])
        images, pattern = tree.files[Kind.IMAGE], self.options.class_pattern
        try:
            layout = read_layout(images) if pattern is None else read_matches(images, pattern)
        except LayoutError as error:
            raise self._error(str(error)) from None
        self._check_repeated(layout, tree)
        classes = self._choose_classes(layout, tree)
        chosen = [image for image in layout.images if fold(image.class_folder) in classes.labels]
        stray += layout.stray
        stray += [(image.file, "of another class") for image in set(layout.images).difference(chosen)]
        self._check_subfolders(chosen, classes)
        self._check_unused(chosen, tree, layout)
        records = tuple(Record(one.file.name, classes.labels[fold(one.class_folder)], one.split) for one in chosen)
        listing = Listing(records, classes.names, passed_over=_count_passed_over(stray, tree))
        changes = [image.file[1:] for image in chosen]
        # Only where they matter: other folders keep the stores that they have.
        more = dicom_signature(self.options.dicom) if any(image.file.name in tree.dicom for image in chosen) else ()
        return listing, digest(repr((_SIGNATURE, listing, changes, *more)))

    def _read_tree(self) -> Tree:
        try:
            tree = read_tree(self.root)
        except TooManyEntriesError as error:
            raise self._error(f"leads to {error}; name a folder that holds the images and little else") from None
        except OSError as error:
            if not self.root.is_dir():
                missing = "not a folder" if self.root.exists() else "no such folder"
                raise self._error(f"{missing}; give one laid out as {LAYOUTS}") from error
            raise self._error(f"{error.filename} cannot be read: {error.strerror}") from error
        if names := untidy(file.name for file in tree.files[Kind.IMAGE]):
            raise self._error(f"{TIDY}; rename {list_few(sorted(names))}")
        return tree

    def _without_ignored(self, tree: Tree) -> tuple[Tree, Stray]:
        """Leave out what lies in a folder of ``data.ignore``, a class or any other."""
        known = dict.fromkeys(name for files in tree.files.values() for file in files for name in file.folders)
        ignored = set(map(fold, read_names("data.ignore", self.options.ignore, known)))
        if not ignored:
            return tree, []
        kept: dict[Kind, list[File]] = {kind: [] for kind in Kind}
        stray: Stray = []
        for kind, files in tree.files.items():
            for file in files:
                if ignored.isdisjoint(map(fold, file.folders)):
                    kept[kind].append(file)
                else:
                    stray.append((file, "in a folder of data.ignore"))
        return Tree(kept, tree.repeated, tree.dicom), stray

    def _check_masks(self, files: Sequence[File]) -> None:
        masks = [file for file in files if names_mask(file.name)]
        if masks:
            folder = next((name for name in masks[0].folders if names_mask(f"{name}/x")), None)
            way_out = f"leave them out with data.ignore={folder}" if folder else "move them away"
            raise self._error(f"{masks[0].name} is a mask and no X-ray, by its name; {way_out}")

    def _check_repeated(self, layout: Layout, tree: Tree) -> None:
        """Refuse a folder of images that links place in both classes: which label is right cannot be told."""
        class_of = {image.class_folder for image in layout.images}

        def classes(prefix: str) -> set[str]:
            return {fold(name) for name in prefix.split("/")[:-1] if name in class_of}

        for passed_over, counted in tree.repeated.items():
            one, other = classes(counted), classes(passed_over)
            if one and other and one != other and any(image.file.name.startswith(counted) for image in layout.images):
                raise self._error(
                    f"{counted} and {passed_over} are one folder, which lies in two classes; remove a link"
                )

    def _choose_classes(self, layout: Layout, tree: Tree) -> Classes:
        """Return the negative and the positive class, each as it is first spelled."""
        spelled: dict[str, str] = {}
        for image in layout.images:
            spelled.setdefault(fold(image.class_folder), image.class_folder)
        options, present = self.options, list(spelled.values())
        if options.positive is options.negative is options.class_pattern is None:
            holders = [name for name in present if fold(name) in _NO_CLASSES]
            self._check_split_words(present)
            inner = {image.inner.split("/")[0] for image in layout.images if image.inner}
            if tree.files[Kind.TABLE] and (holders or not present) and (len(present) != 1 or len(inner) < 2):
                raise self._error(self._name_table(tree, holders))
            if len(present) != 2:
                raise self._error(self._why_not_two(present, tree))
        return choose_classes(present, options.positive, options.negative)

    def _check_split_words(self, present: Sequence[str]) -> None:
        """Refuse folders such as images_train and images_test, which are no classes."""
        if len(present) > 1 and all(split_word(name) for name in present):
            valid = f"{list_few(sorted(present))} look like splits and not like classes"
            raise self._error(f"{valid}; rename them to train, val and test, with class folders inside")

    def _name_table(self, tree: Tree, holders: Sequence[str]) -> str:
        table = tree.files[Kind.TABLE][0].name
        images = f" (images lie in {list_few(sorted(holders))})" if holders else ""
        file, root = (shlex.quote(str(path)) for path in (self.root / table, self.root))
        reads = f"data=table data.file={file} data.root={root} reads it"
        if table.lower().endswith((".xlsx", ".xls")):
            reads = "save it as CSV, which data=table reads"
        return f"{table} is a table of labels beside images{images}, no folder is a class; {reads}"

    def _why_not_two(self, classes: list[str], tree: Tree) -> str:
        files = tree.files[Kind.IMAGE]
        if not files and tree.dicom:
            return "holds DICOM files and no images"
        if not classes:
            return f"no images in class folders; it must be laid out as {LAYOUTS} ({', '.join(SUFFIXES)})"
        found = f"{len(classes)} ({list_few(sorted(classes))})"
        why = f"two classes with images are needed, found {found}; lay it out as {LAYOUTS}"
        if len(classes) > 2:
            return f"{why}, or choose with data.positive, data.negative and data.ignore, each a name or a list [A,B]"
        inner = {file.folders[1] for file in files if len(file.folders) > 1}
        if len(inner) > 1 and not any(split_of(file.folders[0]) for file in files if file.folders):
            why += f"; perhaps data.root={self.root / classes[0]}"
        return why

    def _check_subfolders(self, images: Sequence[Placed], classes: Classes) -> None:
        """Refuse classes whose folders are divided differently: what lies there may be no images of that class."""
        inner: dict[int, set[str]] = {0: set(), 1: set()}
        for image in images:
            inner[classes.labels[fold(image.class_folder)]].add(_without_numbers(image.inner))
        if inner[0] == inner[1] or self.options.subfolders == "any":
            return
        listed = [
            f"{name} has {list_few(sorted(folder or 'images outside sub-folders' for folder in some), most=3)}"
            for name, some in zip(classes.names, (inner[0] - inner[1], inner[1] - inner[0]), strict=True)
            if some
        ]
        valid = f"the classes have different sub-folders: {', '.join(listed)}"
        raise self._error(f"{valid}; leave some out with data.ignore=NAME, or take all with data.subfolders=any")

    def _check_unused(self, images: Sequence[Placed], tree: Tree, layout: Layout) -> None:
        """Refuse a tree of which too large a share is passed over."""
        without_class = UNMATCHED if self.options.class_pattern else OUTSIDE
        stray = [file for file, reason in layout.stray if reason == without_class]
        unused = [*tree.files[Kind.LIKE_IMAGE], *stray]
        total = len(unused) + len(images)
        if not unused or len(unused) <= self.options.allow_unused * total:
            return
        suffixes = Counter(suffix_of(file.name) or "no suffix" for file in unused)
        listed = list_few([f"{number:,} {suffix}" for suffix, number in suffixes.most_common()])
        where = f", {list_few([file.name for file in stray], most=1)} {without_class}" if stray else ""
        valid = f"{len(unused):,} of {total:,} files that look like images would be passed over ({listed}{where})"
        raise UserError.for_key(
            "data.allow_unused", self.options.allow_unused, f"{valid}; convert or move them, or allow more"
        )

    def _error(self, valid: str) -> UserError:
        return UserError.for_key("data.root", self.root, valid)


def _without_numbers(folders: str) -> str:
    """Return folders without what numbers patients, studies and years, as classes differ in these."""
    return re.sub(r"\d+", "#", fold(folders))


def _count_passed_over(stray: Stray, tree: Tree) -> tuple[PassedOver, ...]:
    """Count files by suffix and reason."""
    reasons: Iterable[tuple[File, str]] = [
        *stray,
        *((file, kind.value) for kind in Kind if kind is not Kind.IMAGE for file in tree.files[kind]),
    ]
    counted = Counter((suffix_of(file.name), reason) for file, reason in reasons)
    return tuple(PassedOver(suffix, reason, number) for (suffix, reason), number in sorted(counted.items()))

"""Which split and which class the folders around an image name, or a pattern finds in its path."""

from collections.abc import Sequence
from typing import NamedTuple

from cxr_runner.base.errors import UserError
from cxr_runner.base.numbers import list_few
from cxr_runner.data.sources.names import compile_pattern, fold, split_of
from cxr_runner.data.sources.walk import File

OUTSIDE = "outside class folders"
UNMATCHED = "without a match of data.class_pattern"
LAYOUTS = "DIR/<class>/*, DIR/<split>/<class>/* or DIR/<class>/<split>/*"


class LayoutError(Exception):
    """Folders that cannot be read as classes, or as splits and classes; the message says why."""


class Placed(NamedTuple):
    """An image with the split and the class that its folders name."""

    file: File
    split: str | None
    class_folder: str
    inner: str  # the folders below that of the class


class Layout(NamedTuple):
    """How a tree of images is laid out.

    Attributes:
        images: the images that have a class.
        stray: the others, each with the reason why it has no class.
    """

    images: list[Placed]
    stray: list[tuple[File, str]]


def read_layout(files: Sequence[File]) -> Layout:
    """Read split and class off the folders of each image.

    Args:
        files: images, sorted by name.

    Raises:
        LayoutError: a folder may be a split or a class.
    """
    outer = _num_outer_folders(files)
    stray = [(file, OUTSIDE) for file in files if len(file.folders) <= outer]
    inside = [file for file in files if len(file.folders) > outer]
    splits = {name for file in inside if split_of(name := file.folders[outer])}
    if splits:
        layout = _splits_first(inside, outer, splits)
    elif any(len(file.folders) > outer + 1 and split_of(file.folders[outer + 1]) for file in inside):
        layout = _classes_first(inside, outer)
    else:
        layout = Layout([_place(file, None, outer) for file in inside], [])
        for placed in layout.images:
            if split := next((name for name in placed.inner.split("/") if split_of(name)), None):
                valid = f"{split} in {placed.file.name} may be a split, but lies too deep to be read as one"
                raise LayoutError(f"{valid}; put split folders outside or directly inside of class folders")
    return Layout(layout.images, stray + layout.stray)


def read_matches(files: Sequence[File], pattern: str) -> Layout:
    """Read the class off the path of each image, and the split off the outermost folder that is named after one.

    Args:
        files: images, sorted by name.
        pattern: ``data.class_pattern``; where it matches, its first group is the class, else the image has none.

    Raises:
        UserError: it is no regular expression, has no group or tells fewer than two classes.
        LayoutError: some images lie in split folders and others do not.
    """
    compiled = compile_pattern("data.class_pattern", pattern)
    if not compiled.groups:
        valid = "needs a group (...) around what tells the class, as _(bacteria|virus)_ has"
        raise UserError.for_key("data.class_pattern", pattern, valid)
    images, stray = [], []
    for file in files:
        match = compiled.search(file.name)
        if match and match[1]:
            split = next(filter(None, map(split_of, file.folders)), None)
            images.append(Placed(file, split, match[1], ""))
        else:
            stray.append((file, UNMATCHED))
    classes = {fold(image.class_folder): image.class_folder for image in images}
    if len(classes) < 2:
        told = f"only {next(iter(classes.values()))}" if classes else "no class"
        valid = f"tells {told} in the paths of {len(files):,} images"
        raise UserError.for_key("data.class_pattern", pattern, f"{valid}; two classes are needed")
    outside = [image.file.name for image in images if image.split is None]
    if 0 < len(outside) < len(images):
        raise LayoutError(f"images lie both inside and outside split folders, as {outside[0]} does")
    return Layout(images, stray)


def _num_outer_folders(files: Sequence[File]) -> int:
    """Count the folders around all splits: DIR/chest_xray/train/... and DIR/chest_xray/chest_xray/train/..."""
    outer = 0
    while True:
        tops = {tuple(file.folders[outer : outer + 1]) for file in files} - {()}
        if len(tops) != 1:
            return outer
        ((top,),) = tops
        below = {file.folders[outer + 1] for file in files if len(file.folders) > outer + 1}
        doubled = {fold(name) for name in below} == {fold(top)}
        if split_of(top) or not (doubled or any(map(split_of, below))) or _are_classes_first(below, files, outer):
            return outer
        outer += 1


def _are_classes_first(below: set[str], files: Sequence[File], outer: int) -> bool:
    """Return whether the images lie directly in the split folders below the only folder: it is a class then."""
    return any(map(split_of, below)) and all(len(file.folders) == outer + 2 for file in files)


def _splits_first(inside: Sequence[File], outer: int, splits: set[str]) -> Layout:
    """Read DIR/<split>/<class>/*."""
    # Some copies of the study's images come with a second copy of the whole tree beside the splits.
    copies = {
        file.folders[outer] for file in inside if len(file.folders) > outer + 1 and split_of(file.folders[outer + 1])
    }
    copies -= splits
    within = {(file.name.split("/", outer)[outer], file.size) for file in inside if file.folders[outer] in splits}
    copies = {name for name in copies if _is_copy(name, inside, outer, within)}
    if others := {file.folders[outer] for file in inside} - splits - copies:
        both = f"images lie both inside and outside the split folders {list_few(sorted(splits))}"
        raise LayoutError(f"{both}; move away {list_few(sorted(others))}")
    images, stray = [], []
    for file in inside:
        split, below = split_of(file.folders[outer]), outer + 1
        if split is None:
            stray.append((file, "in a second copy of the whole tree"))
            continue
        while file.folders[below : below + 1] and fold(file.folders[below]) == fold(file.folders[outer]):
            below += 1  # train/train/...
        if len(file.folders) <= below:
            stray.append((file, OUTSIDE))
        elif split_of(name := file.folders[below]):
            raise LayoutError(f"{name} in {file.folders[outer]} may be a split or a class; rename it")
        else:
            images.append(_place(file, split, below))
    if not images:
        names = list_few(sorted(splits))
        raise LayoutError(f"{names}: named as splits are, but images lie directly in them; a split needs class folders")
    return Layout(images, stray)


def _is_copy(folder: str, inside: Sequence[File], outer: int, within: set[tuple[str, int]]) -> bool:
    """Return whether every file of a folder lies in the splits too, with the same name and size."""
    files = [file for file in inside if file.folders[outer] == folder]
    return all((file.name.split("/", outer + 1)[outer + 1], file.size) in within for file in files)


def _classes_first(inside: Sequence[File], outer: int) -> Layout:
    """Read DIR/<class>/<split>/*."""
    images = []
    for file in inside:
        split = split_of(file.folders[outer + 1]) if len(file.folders) > outer + 1 else None
        if split is None:
            name = file.folders[outer]
            raise LayoutError(f"images of {name} lie both inside and outside split folders, as {file.name} does")
        placed = _place(file, split, outer)
        images.append(placed._replace(inner="/".join(file.folders[outer + 2 :])))
    return Layout(images, [])


def _place(file: File, split: str | None, position: int) -> Placed:
    name, inner = file.folders[position], file.folders[position + 1 :]
    while inner and fold(inner[0]) == fold(name):
        inner = inner[1:]  # NORMAL/NORMAL/..., as archives unpack
    return Placed(file, split, name, "/".join(inner))

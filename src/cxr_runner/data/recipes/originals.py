"""Finds the originals of a recipe below a folder: images in folders that are named after classes, at any depth."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cxr_runner.base.checksums import checksum_of_file
from cxr_runner.base.errors import UserError
from cxr_runner.data.recipes.recipe_file import Recipe


@dataclass(frozen=True)
class Originals:
    """What lies below a folder.

    Attributes:
        paths: files of the images by their names, ``CLASS/NAME``, in order.
        copies: files that are the same as another one of their name.
        passed_over: files that are no images of a class.
    """

    paths: dict[str, Path]
    copies: tuple[Path, ...]
    passed_over: tuple[Path, ...]


def find_originals(source: Path, recipe: Recipe) -> Originals:
    """Find the originals of a recipe.

    Raises:
        UserError: there is no such folder, no image in it, or two images of one name in one class differ.
    """
    if not source.is_dir():
        raise UserError.for_key("SOURCE", source, f"no such folder; give {recipe.originals}")
    paths: dict[str, Path] = {}
    copies, passed_over = [], []
    for path in _files(source):
        name = f"{path.parent.name}/{path.name}"
        if not _is_image(path, recipe):
            passed_over.append(path)
        elif name not in paths:
            paths[name] = path
        elif checksum_of_file(path) == checksum_of_file(paths[name]):
            copies.append(path)
        else:
            raise UserError.for_key("SOURCE", source, f"two images are called {name}: {paths[name]} and {path}")
    if not paths:
        folders = " and ".join(recipe.classes)
        raise UserError.for_key("SOURCE", source, f"no image in a folder {folders}; give {recipe.originals}")
    return Originals(dict(sorted(paths.items())), tuple(copies), tuple(passed_over))


def _files(source: Path) -> Iterator[Path]:
    yield from (path for path in sorted(source.rglob("*")) if path.is_file())


def _is_image(path: Path, recipe: Recipe) -> bool:
    """Whether a file is an image of a class; those that macOS leaves in archives, ``._NAME``, are none."""
    named = path.parent.name in recipe.classes and path.suffix.lower() in recipe.endings
    return named and not path.name.startswith("._")

"""A recipe as data: a YAML file, in the package or the user's, and the checks of every image that should come out."""

import json
import lzma
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from cxr_runner.base.errors import UserError
from cxr_runner.base.files import MOST_YAML, read_content
from cxr_runner.base.numbers import list_few
from cxr_runner.config.schema_words import say_valid
from cxr_runner.config.values import Count, Strict
from cxr_runner.config.yaml_lines import parse_lined
from cxr_runner.data.recipes.image_check import ImageCheck, Tolerance, read_checks

_FOLDER = files("cxr_runner.data.recipes")
_MOST_CHECKS = 2**26  # bytes of a file of checks, compressed
Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
NotEmpty = Field(min_length=1)


@dataclass(frozen=True)
class Recipe(Strict):
    """How originals become a set of images.

    Attributes:
        schema: version of the format.
        title: what comes out.
        citation: where the originals come from.
        licence: under which licence.
        originals: which files they are, in words.
        classes: names of the folders of the originals, which are those of the result too.
        endings: of the files that are images, in small letters.
        side: side of the result in pixels; images are stretched to a square.
        filters: by which of Pillow's they may have been reduced.
        quality: of the JPEG files that come out.
        checks: file of the checks of the images that should come out, beside the recipe; '' for none.
        tolerance: how far an image that agrees may be from its check.
    """

    schema: Literal[1]
    title: str
    citation: str
    licence: str
    originals: str
    classes: Annotated[tuple[str, ...], NotEmpty]
    endings: Annotated[tuple[str, ...], NotEmpty]
    side: Count
    filters: Annotated[tuple[Filter, ...], NotEmpty]
    quality: Annotated[int, Field(ge=1, le=100)]
    checks: str
    tolerance: Tolerance


def packaged_recipes() -> list[str]:
    """Return the names of the recipes that come with the package."""
    return sorted(file.name.removesuffix(".yaml") for file in _FOLDER.iterdir() if file.name.endswith(".yaml"))


def load_recipe(given: str) -> tuple[Recipe, dict[str, ImageCheck]]:
    """Read a recipe, and the checks of its images by their names.

    Args:
        given: name of one that comes with the package, or path of a file.

    Raises:
        UserError: there is none, or there is a mistake in it; the message says in which line.
    """
    folder: Traversable = _FOLDER
    if given in packaged_recipes():
        text = _FOLDER.joinpath(f"{given}.yaml").read_text("utf-8")
    else:
        path = Path(given).expanduser()
        text, folder = _read(path), path.parent
    recipe = parse_recipe(text, given)
    if not recipe.checks:
        return recipe, {}
    try:
        return recipe, read_checks(folder.joinpath(recipe.checks).read_bytes()[:_MOST_CHECKS])
    except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
        raise UserError(f"{given}: checks: {recipe.checks} cannot be read ({error})") from None


def _read(path: Path) -> str:
    content = read_content(path, MOST_YAML)
    if content is None:
        valid = f"no such recipe; valid are {list_few(packaged_recipes())} and the path of a file"
        raise UserError(f"{path}: {valid}")
    return content.decode("utf-8", "replace")


def parse_recipe(text: str, place: str) -> Recipe:
    """Read a recipe from the text of its file.

    Args:
        text: the text.
        place: what the file is called in messages.

    Raises:
        UserError: there is a mistake in it; the message says in which line.
    """
    file = parse_lined(text, place)
    try:
        return _adapter().validate_json(json.dumps(file.content))
    except ValidationError as error:
        first = error.errors()[0]
    path = list(first["loc"])
    if first["type"] == "missing":
        raise file.error(path[:-1], f"{path[-1]} is missing", value=False)
    if first["type"] == "unexpected_keyword_argument":
        raise file.error(path, "there is no such key here", value=False)
    raise file.error(path, say_valid(first))


@cache
def _adapter() -> TypeAdapter[Recipe]:
    return TypeAdapter(Recipe)

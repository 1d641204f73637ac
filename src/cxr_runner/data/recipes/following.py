"""Follows a recipe: reduces originals, and says how far what comes out agrees with the images used here."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from cxr_runner.base.errors import UserError
from cxr_runner.base.files import regular, replacing_folder
from cxr_runner.base.progress import Reporter
from cxr_runner.base.threads import in_threads
from cxr_runner.data.recipes.image_check import ImageCheck, check_image
from cxr_runner.data.recipes.originals import Originals, find_originals
from cxr_runner.data.recipes.recipe_file import Filter, Recipe

MISSING, EXTRA, UNREADABLE, UNCHECKED = "missing", "not in the set", "cannot be read", "not checked"
_TRIED = 24  # images that filters are compared by


@dataclass(frozen=True)
class Made:
    """An image that came out of a recipe.

    Attributes:
        content: a JPEG file; empty where the original cannot be read.
        check: its check; None where there is none.
        problem: why the original cannot be read.
    """

    content: bytes
    check: ImageCheck | None
    problem: str = ""


@dataclass(frozen=True)
class RecipeOutcome:
    """What came out of a recipe.

    Attributes:
        originals: what was found.
        chosen: the filter.
        agreements: how far each image agrees, by its name, as :meth:`.ImageCheck.agreement` or the words above say.
        problems: why originals cannot be read, by the names of their images.
        sharpening: median of how many times as sharp as the images used here these are; None where nothing tells.
    """

    originals: Originals
    chosen: Filter
    agreements: Mapping[str, str]
    problems: Mapping[str, str]
    sharpening: float | None


def follow_recipe(
    recipe: Recipe, checks: Mapping[str, ImageCheck], source: Path, target: Path, reporter: Reporter
) -> RecipeOutcome:
    """Write the images of a recipe to ``target/CLASS/NAME``, all or none.

    Images that the set used here has not are left out; what is missing or does not agree is said.

    Args:
        recipe: the recipe.
        checks: the checks of the images that should come out; empty where nothing is known of them.
        source: folder of the originals.
        target: folder to write, which must not exist.
        reporter: shown the progress.

    Raises:
        UserError: there are no originals, or the folder cannot be written.
    """
    if target.exists():
        raise UserError.for_key("TARGET", target, "exists already; give a folder that does not")
    originals = find_originals(source, recipe)
    wanted = [name for name in originals.paths if not checks or name in checks]
    if not wanted:
        raise UserError.for_key("SOURCE", source, f"none of its images is in the set; give {recipe.originals}")
    chosen = _choose_filter(recipe, checks, {name: originals.paths[name] for name in wanted}, reporter)
    agreements = dict.fromkeys(checks.keys() - originals.paths.keys(), MISSING)
    agreements |= dict.fromkeys(originals.paths.keys() - set(wanted), EXTRA)
    problems, sharpening = {}, []
    work = partial(reduce_image, recipe=recipe, chosen=chosen)
    try:
        with replacing_folder(target) as folder:
            for label in recipe.classes:
                (folder / label).mkdir()
            made = in_threads(work, [originals.paths[name] for name in wanted], "reducing images", reporter)
            for name, one in zip(wanted, made, strict=True):
                if one.check is None:
                    agreements[name], problems[name] = UNREADABLE, one.problem
                    continue
                (folder / name).write_bytes(one.content)
                agreements[name] = one.check.agreement(checks[name], recipe.tolerance) if checks else UNCHECKED
                sharpening += [one.check.sharpening(checks[name])] if checks else []
    except OSError as error:
        raise UserError.for_key("TARGET", target, f"cannot be written ({error.strerror})") from None
    return RecipeOutcome(originals, chosen, agreements, problems, median(sharpening) if sharpening else None)


def reduce_image(path: Path, recipe: Recipe, chosen: Filter) -> Made:
    """Reduce one original."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(regular(path)) as original:
                side = (recipe.side, recipe.side)
                square = original.convert("L").resize(side, Image.Resampling[chosen.upper()]).convert("RGB")
        file = BytesIO()
        square.save(file, "JPEG", quality=recipe.quality)
        with Image.open(file) as written:
            return Made(file.getvalue(), check_image(np.asarray(written.convert("L"))))
    except Exception as error:  # a damaged file can raise almost anything; the outcome says so
        return Made(b"", None, getattr(error, "strerror", None) or str(error) or type(error).__name__)


def _choose_filter(
    recipe: Recipe, checks: Mapping[str, ImageCheck], paths: Mapping[str, Path], reporter: Reporter
) -> Filter:
    """Return the filter with which most of a few images agree exactly, of equal ones the one of the right sharpness."""
    if not checks or len(recipe.filters) == 1:
        return recipe.filters[0]
    names = list(paths)[:: max(1, len(paths) // _TRIED)]
    scores = {}
    for chosen in recipe.filters:
        work = partial(reduce_image, recipe=recipe, chosen=chosen)
        made = in_threads(work, [paths[name] for name in names], f"trying {chosen}", reporter)
        scores[chosen] = _score([(one.check, checks[name]) for name, one in zip(names, made, strict=True) if one.check])
    return max(scores, key=lambda chosen: scores[chosen])


def _score(pairs: Sequence[tuple[ImageCheck, ImageCheck]]) -> tuple[int, float]:
    exact = sum(made.checksum == check.checksum for made, check in pairs)
    return exact, -abs(median(made.sharpening(check) for made, check in pairs) - 1) if pairs else -1.0

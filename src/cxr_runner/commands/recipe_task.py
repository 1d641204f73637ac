"""What ``cxr-data recipe`` does: public originals become the images used here, and it is said how far they agree."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from cxr_runner.base.errors import RunFailedError, UserError
from cxr_runner.base.files import write_text
from cxr_runner.base.markdown import printable
from cxr_runner.base.numbers import list_few, plural
from cxr_runner.base.progress import make_reporter
from cxr_runner.data.recipes.following import MISSING, RecipeOutcome, follow_recipe
from cxr_runner.data.recipes.recipe_file import Recipe, load_recipe, packaged_recipes

_GOOD = ("exactly", "within tolerance", "not checked")


def perform_recipe(words: Sequence[str]) -> None:
    """Follow a recipe, and print what came out; the agreement of every image is written beside the folder.

    Args:
        words: the recipe, the folder of the originals, and the folder to write.

    Raises:
        UserError: there is no such recipe, no originals, or the folder cannot be written.
        RunFailedError: images are missing, cannot be read, or do not agree.
    """
    if len(words) != 3:
        known = ", ".join(packaged_recipes())
        raise UserError(f"recipe: give a recipe ({known}, or a file), SOURCE and TARGET, given: {' '.join(words)}")
    source, target = (Path(word).expanduser() for word in words[1:])
    recipe, checks = load_recipe(words[0])
    outcome = follow_recipe(recipe, checks, source, target, make_reporter("auto"))
    table = target.with_name(f"{target.name}-agreement.csv")
    write_text(table, "name,agreement\n" + "".join(_lines(outcome)))
    for line in describe_outcome(recipe, outcome, target):
        print(line)
    bad = sum(word not in _GOOD for word in outcome.agreements.values())
    if bad:
        raise RunFailedError(f"{plural(bad, 'image')} missing, left out or not as in the set used here: {table}")


def describe_outcome(recipe: Recipe, outcome: RecipeOutcome, target: Path) -> Iterator[str]:
    """Yield what came out, in lines."""
    counts = Counter(outcome.agreements.values())
    written = [name for name, word in outcome.agreements.items() if word in (*_GOOD, "not")]
    yield f"{recipe.title}: {len(written):,} images in {target}"
    yield f"  {recipe.side}x{recipe.side}, {outcome.chosen}, JPEG of quality {recipe.quality}; {recipe.licence}"
    yield f"  {recipe.citation}"
    for word in dict.fromkeys(["exactly", "within tolerance", "not", MISSING, *sorted(counts)]):
        named = [printable(name) for name, said in sorted(outcome.agreements.items()) if said == word]
        few = "" if word in _GOOD or not named else f": {list_few(named)}"
        if word in counts or (recipe.checks and word in ("exactly", "within tolerance", "not", MISSING)):
            yield f"  {word:<18} {counts[word]:,}{few}"
    if outcome.sharpening is not None:
        yield f"  sharpness          {outcome.sharpening:.3f} times that of the images used here (median)"
    for words, paths in (("same file twice", outcome.originals.copies), ("no image", outcome.originals.passed_over)):
        if paths:
            yield f"  {words:<18} {len(paths):,}: {list_few([printable(path.name) for path in paths])}"


def _lines(outcome: RecipeOutcome) -> Iterator[str]:
    for name, word in sorted(outcome.agreements.items()):
        why = outcome.problems.get(name, "")
        cells = [name, f"{word}: {why}" if why else word]
        yield ",".join('"' + printable(cell).replace('"', '""') + '"' for cell in cells) + "\n"

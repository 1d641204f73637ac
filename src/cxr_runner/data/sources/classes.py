"""Two classes out of those that a source has: which are positive, which negative, which are left out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from cxr_runner.base.errors import UserError
from cxr_runner.base.numbers import list_few
from cxr_runner.data.sources.names import fold

Names = str | tuple[str, ...] | None
"""What ``data.positive``, ``data.negative`` or ``data.ignore`` is given."""


@dataclass(frozen=True)
class Classes:
    """How the classes of a source become two.

    Attributes:
        names: names of the negative and the positive class.
        labels: 0 or 1 by the folded name of a class; one that is missing is left out.
    """

    names: tuple[str, str]
    labels: Mapping[str, int]


def read_names(key: str, given: Names, known: Iterable[str]) -> list[str]:
    """Return the names that a key holds, as they are known.

    Args:
        key: key of the configuration, for messages.
        given: one name, a list, or text in brackets with commas, which is a list unless something is called so.
        known: names that there are.

    Raises:
        UserError: a name is not known.
    """
    spelled = {fold(name): name for name in known}
    if given is None:
        return []
    if isinstance(given, str):
        in_brackets = given.startswith("[") and given.endswith("]") and fold(given) not in spelled
        inside = given[1:-1].strip()
        given = tuple(name.strip() for name in inside.split(",") if inside) if in_brackets else (given,)
    for name in given:
        if fold(name) not in spelled:
            near = get_close_matches(fold(name), spelled, n=1)
            nearest = f"; did you mean {spelled[near[0]]}?" if near else ""
            valid = f"there is no {name or 'empty name'}, valid are {list_few(sorted(spelled.values()))}{nearest}"
            raise UserError.for_key(key, _shown(given), valid)
    return [spelled[fold(name)] for name in given]


def choose_classes(present: Sequence[str], positive: Names, negative: Names) -> Classes:
    """Choose two classes among those that there are.

    Args:
        present: names of the classes with images, ignored ones left out, in their order.
        positive: ``data.positive``; without it the class called pneumonia is positive.
        negative: ``data.negative``; without it the remaining class is negative.

    Raises:
        UserError: a name is not known or in both; or it is not clear which classes are meant.
    """
    positives, negatives = (
        read_names(key, given, present) for key, given in (("data.positive", positive), ("data.negative", negative))
    )
    if both := [name for name in positives if name in negatives]:
        raise UserError.for_key("data.positive", _shown(positives), f"{list_few(both)} is in data.negative too")
    if not positives:
        rest = [name for name in present if name not in negatives]
        called = [name for name in rest if fold(name) == "pneumonia"]
        positives = called or (rest if negatives and len(rest) == 1 else [])
        if not positives:
            valid = f"the class coded 1 must be one of {list_few(sorted(present))}"
            raise UserError.for_key("data.positive", positive, valid)
    if not negatives:
        negatives = [name for name in present if name not in positives]
        if len(negatives) != 1:
            valid = (
                f"say which are negative, and leave others out with data.ignore: {list_few(sorted(negatives))} remain"
            )
            raise UserError.for_key("data.negative", negative, valid if negatives else "no class remains")
    labels = {fold(name): 0 for name in negatives} | {fold(name): 1 for name in positives}
    return Classes(("+".join(negatives), "+".join(positives)), labels)


def _shown(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"[{','.join(names)}]"

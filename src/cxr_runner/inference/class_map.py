"""Which class of foreign data is which class of a model."""

from collections.abc import Sequence

from cxr_runner.base.errors import UserError
from cxr_runner.data.sources.names import fold

_KEY = "--map"


def map_classes(foreign: tuple[str, str], own: tuple[str, str], given: Sequence[str]) -> bool:
    """Find out whether the positive class of foreign data is that of a model, or the other way round.

    Names that differ in case alone are the same; where one class is known, the other one is too.

    Args:
        foreign: names of the negative and the positive class of the data.
        own: those of the model.
        given: ``FOREIGN=OWN``, what the user says of some of them.

    Returns:
        Whether labels are to be exchanged.

    Raises:
        UserError: a name is not known, or it is not clear which class is which.
    """
    known: dict[int, int] = {}
    for text in given:
        foreign_name, _, own_name = text.rpartition("=")
        pair = _find(text, foreign_name, foreign, "the data"), _find(text, own_name, own, "the model")
        if known.setdefault(pair[0], pair[1]) != pair[1]:
            raise UserError.for_key(_KEY, text, f"{foreign[pair[0]]} is {own[known[pair[0]]]} already")
    if len(known) == 2 and known[0] == known[1]:
        raise UserError.for_key(_KEY, given[-1], f"both classes of the data would be {own[known[0]]}")
    if not known:
        names = [fold(name) for name in own]
        known = {at: names.index(fold(name)) for at, name in enumerate(foreign) if fold(name) in names}
    if not known:
        words = f"the classes of the data are {foreign[0]} and {foreign[1]}, those of the model {own[0]} and {own[1]}"
        raise UserError(f"{_KEY}: {words}: say which is which, e.g. --map '{foreign[0]}={own[0]}'")
    at, found = next(iter(known.items()))
    return at != found


def _find(text: str, name: str, names: tuple[str, str], where: str) -> int:
    folded = [fold(one) for one in names]
    if fold(name) not in folded:
        raise UserError.for_key(
            _KEY, text, f"no class of {where} is called {name}; valid are {names[0]} and {names[1]}"
        )
    return folded.index(fold(name))

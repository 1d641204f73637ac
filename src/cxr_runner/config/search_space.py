"""The space of a search: what stands on a command line in Hydra's grammar of sweeps, as parameters with their values.

``optimizer.lr=tag(log,interval(1e-5,1e-1))``, ``model.hidden=choice(5,10,20)`` or ``5,10,20``,
``epochs=range(5,25,5)``.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeGuard

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer
from omegaconf import DictConfig, open_dict, read_write

from cxr_runner.base.errors import UserError

Value = str | int | float | bool | None
_MOST_PROBES = 100  # configurations that are composed to check a space; each takes a tenth of a second


@dataclass(frozen=True)
class Parameter:
    """One thing that is searched.

    Attributes:
        key: its key, dotted, or a group of the configuration.
        text: its values as given.
        choices: its values, where they are listed.
        low: the least value, of an interval.
        high: the largest.
        log: whether the logarithm is searched evenly.
        step: distance of the values; None for any.
        whole: whether they are whole numbers.
    """

    key: str
    text: str
    choices: tuple[Value, ...] = ()
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    step: float | None = None
    whole: bool = False

    @property
    def ends(self) -> tuple[Value, ...]:
        """All values of a list, the least and the largest of an interval."""
        number = int if self.whole else float
        return self.choices or (number(self.low), number(self.high))

    def override(self, value: Value) -> str:
        """Return a value as one would write it on the command line."""
        return f"{self.key}={write_value(value)}"


def write_value(value: Value) -> str:
    """Return a value in Hydra's grammar."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def read_space(
    arguments: Sequence[str], loader: ConfigLoader | None = None
) -> tuple[tuple[Parameter, ...], tuple[str, ...]]:
    """Tell what is searched from what is fixed.

    Args:
        arguments: every KEY=VALUE, a later one of a key in the place of an earlier one.
        loader: for ``glob(*)`` of a group's choices.

    Returns:
        What is searched, and the other arguments as they are.

    Raises:
        UserError: an interval or a list has no values.
        OverrideParseException: an argument cannot be read.
    """
    parsed = OverridesParser.create(loader).parse_overrides(list(arguments))
    last = {override.get_key_element(): override for override in parsed}
    searched = tuple(_parameter(key, one) for key, one in last.items() if one.is_sweep_override())
    fixed = tuple(str(one.input_line) for one in last.values() if not one.is_sweep_override())
    return searched, fixed


def read_distributions(space: Mapping[str, Mapping[str, Any]]) -> tuple[Parameter, ...]:
    """Read ``hydra.sweeper.search_space``: a type, its ends or choices, by key.

    Raises:
        UserError: an entry is of no such form.
    """
    return tuple(_distribution(str(key), entry) for key, entry in space.items())


def probes(space: Sequence[Parameter], groups: Sequence[str]) -> Iterator[dict[str, Value]]:
    """Yield assignments whose configurations a search has to be able to compose: if these are valid, so are all.

    Every choice of groups with every other, since they decide which keys there are; the ends and choices of all other
    parameters one by one, and all largest together.

    Args:
        space: what is searched.
        groups: keys of it that are groups of the configuration.
    """
    chosen = [one for one in space if one.key in groups]
    others = [one for one in space if one.key not in groups]
    number = 0
    for values in product(*(one.ends for one in chosen)):
        base = dict(zip((one.key for one in chosen), values, strict=True)) | {one.key: one.ends[0] for one in others}
        varied = [{one.key: value} for one in others for value in one.ends[1:]]
        largest = [{one.key: one.ends[-1] for one in others}] if len(others) > 1 else []
        for change in ({}, *varied, *largest):
            number += 1
            if number > _MOST_PROBES:
                return
            yield base | change


def take_out(config: DictConfig, key: str) -> Any:
    """Remove a key that is none of the schema's from a composed configuration; return its value."""
    with read_write(config), open_dict(config):
        return config.pop(key)


def _parameter(key: str, override: Override) -> Parameter:
    text, value = override.input_line.partition("=")[2], override.value()  # type: ignore[union-attr]
    if isinstance(value, IntervalSweep):
        assert value.start is not None
        assert value.end is not None
        whole = isinstance(value.start, int) and isinstance(value.end, int)
        return _interval(key, text, value.start, value.end, log="log" in value.tags, whole=whole)
    if isinstance(value, RangeSweep) and not value.shuffle and not value.step < 0:
        return _range(key, text, value)
    return _listed(key, text, tuple(map(_plain, override.sweep_iterator(transformer=Transformer.encode))))


def _plain(choice: object) -> Value:
    assert choice is None or isinstance(choice, str | int | float)
    return choice


def _interval(
    key: str, text: str, low: float, high: float, *, log: bool, whole: bool, step: float | None = None
) -> Parameter:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UserError.for_key(key, text, "an interval goes from a number to a larger one")
    if log and step is not None:
        raise UserError.for_key(key, text, f"has no steps on a logarithm, and step={step:g} is given")
    if log and low <= 0:
        raise UserError.for_key(key, text, f"a logarithm needs numbers above 0, and {low:g} is not")
    return Parameter(key, text, low=low, high=high, log=log, whole=whole, step=step)


def _range(key: str, text: str, value: RangeSweep) -> Parameter:
    start, stop, step = (0 if value.start is None else value.start), value.stop, value.step
    assert stop is not None
    number = math.ceil((stop - start) / step - 1e-9)
    if number < 2:
        raise UserError.for_key(key, text, f"a range of {max(number, 0)} values is nothing to search")
    whole = all(isinstance(one, int) for one in (start, stop, step))
    return Parameter(key, text, low=start, high=start + (number - 1) * step, step=step, whole=whole)


def _listed(key: str, text: str, choices: tuple[Value, ...]) -> Parameter:
    if not choices:
        raise UserError.for_key(key, text, "holds no choice")
    if len({(type(one), one) for one in choices}) < len(choices):
        raise UserError.for_key(key, text, "names a choice twice")
    return Parameter(key, text, choices=choices)


def _distribution(key: str, entry: Mapping[str, Any]) -> Parameter:
    at, kind = f"hydra.sweeper.search_space.{key}", entry.get("type")
    unknown = set(entry) - {"type", "low", "high", "choices", "log", "step"}
    if kind not in ("int", "float", "categorical") or unknown:
        shown = f"{{{', '.join(f'{name}: {value}' for name, value in entry.items())}}}"
        valid = "takes type (int, float or categorical) with low, high, log, step or choices"
        raise UserError.for_key(at, shown, valid)
    if kind == "categorical":
        choices = tuple(entry.get("choices") or ())
        return _listed(key, f"choice({','.join(map(write_value, choices))})", choices)
    low, high, step, log = (entry.get(name) for name in ("low", "high", "step", "log"))
    if not (_is_number(low, kind) and _is_number(high, kind) and (step is None or _is_number(step, kind))):
        raise UserError.for_key(at, f"{low} to {high}", f"low, high and step must be numbers that are {kind}")
    interval = f"interval({low},{high})"
    text = f"tag(log,{interval})" if log else interval
    return _interval(key, text, low, high, log=bool(log), whole=kind == "int", step=step)


def _is_number(value: object, kind: str) -> TypeGuard[float]:
    return isinstance(value, int | float) and (kind == "float" or float(value).is_integer())

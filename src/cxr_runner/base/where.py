"""A small filter on columns: ``view in (PA, AP) and age >= 18``. It is parsed, never evaluated as code.

::

    filter     = and-part ("or" and-part)*
    and-part   = condition ("and" condition)*
    condition  = "not" condition | "(" filter ")" | column comparison value | column ["not"] "in" list
    list       = "(" value ("," value)* ")"
    comparison = "=" | "==" | "!=" | "<" | "<=" | ">" | ">="
    column     = a word, or any header in double quotes
    value      = a word or number, or any text in single quotes

Two values are compared as numbers where both are some (``058Y`` is 58 and ``006M`` half) and have no leading zeros, as
keys do; else as text, whatever its case. A column that is empty or no number fits no comparison with ``<`` or ``>``;
``not`` takes whatever does not fit, such columns too.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cxr_runner.base.errors import UserError

_TOKEN = re.compile(
    r"""\s*(?:(?P<header>"[^"]*")|(?P<text>'[^']*')|(?P<sign>==|!=|<=|>=|[=<>(),])|(?P<word>[^\s"'=<>!(),]+))"""
)
_NUMBER = re.compile(r"([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?:([YyMmWwDd])| years?)?")
_YEARS = {"y": 1.0, "m": 1 / 12, "w": 7 / 365.25, "d": 1 / 365.25}  # units of ages, as DICOM writes them
_ORDERED: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WORDS = ("and", "or", "not", "in")

Row = Mapping[str, str]
Test = Callable[[Row], bool]


class FilterError(Exception):
    """A filter that cannot be read; the message says where."""


@dataclass(frozen=True)
class Filter:
    """A filter that was parsed.

    Attributes:
        columns: columns that it names, in their order.
        fits: whether a row, its columns with their text, fits.
    """

    columns: tuple[str, ...]
    fits: Test


def parse_filter(text: str) -> Filter:
    """Parse a filter.

    Raises:
        FilterError: it cannot be read.
    """
    parser = _Parser(list(_tokens(text)))
    test = parser.read_or()
    if parser.ahead() != ("end", ""):
        raise FilterError(f"nothing more is expected at {parser.ahead()[1]!r}")
    return Filter(tuple(dict.fromkeys(parser.columns)), test)


def read_filter(key: str, text: str) -> Filter:
    """Parse a filter that a key of the configuration holds.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return parse_filter(text)
    except FilterError as error:
        raise UserError.for_key(key, text, f"cannot be read: {error}") from None


def number_in(text: str) -> float | None:
    """Return the number that a text is, an age in years (``058Y``, ``006M``); None where it is none."""
    match = _NUMBER.fullmatch(text.strip())
    return float(match[1]) * _YEARS.get((match[2] or "y").lower(), 1.0) if match else None


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield the kind and the text of every token."""
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise FilterError(f"cannot be read at {text[position:].strip()[:20]!r}")
        kind = str(match.lastgroup)
        token = match[kind]
        yield kind, token[1:-1] if kind in ("header", "text") else token
        position = match.end()


class _Parser:
    """Reads tokens by recursive descent; notes the columns that it meets."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens, self.columns = tokens, list[str]()

    def ahead(self) -> tuple[str, str]:
        return self.tokens[0] if self.tokens else ("end", "")

    def takes(self, token: str, kind: str = "word") -> bool:
        """Take the next token if it is this one."""
        if self.tokens and self.tokens[0][0] == kind and self.tokens[0][1].lower() == token:
            self.tokens.pop(0)
            return True
        return False

    def read_or(self) -> Test:
        parts = [self.read_and()]
        while self.takes("or"):
            parts.append(self.read_and())
        return lambda row: any(part(row) for part in parts)

    def read_and(self) -> Test:
        parts = [self.read_condition()]
        while self.takes("and"):
            parts.append(self.read_condition())
        return lambda row: all(part(row) for part in parts)

    def read_condition(self) -> Test:
        if self.takes("not"):
            inner = self.read_condition()
            return lambda row: not inner(row)
        if self.takes("(", "sign"):
            inside = self.read_or()
            self.expect(")")
            return inside
        column = self.read_column()
        negated = self.takes("not")
        if self.takes("in"):
            values = self.read_list()
            return lambda row: any(_equal(row[column], value) for value in values) is not negated
        if negated:
            raise FilterError(f"'in' is expected behind 'not', and not {self.ahead()[1]!r}")
        kind, sign = self.ahead()
        if kind != "sign" or sign not in ("=", "==", "!=", *_ORDERED):
            raise FilterError(f"one of = != < <= > >= in is expected behind {column}, and not {sign!r}")
        self.tokens.pop(0)
        return _comparison(column, sign, self.read_value())

    def read_column(self) -> str:
        kind, token = self.ahead()
        if kind not in ("word", "header") or (kind == "word" and token.lower() in _WORDS):
            raise FilterError(f"the name of a column is expected, and not {token!r}")
        self.tokens.pop(0)
        self.columns.append(token)
        return token

    def read_list(self) -> Sequence[str]:
        self.expect("(")
        values = [self.read_value()]
        while self.takes(",", "sign"):
            values.append(self.read_value())
        self.expect(")")
        return values

    def read_value(self) -> str:
        kind, token = self.ahead()
        if kind not in ("word", "text"):
            raise FilterError(f"a value is expected, text in single quotes, and not {token!r}")
        self.tokens.pop(0)
        return token

    def expect(self, sign: str) -> None:
        if not self.takes(sign, "sign"):
            raise FilterError(f"{sign!r} is expected, and not {self.ahead()[1]!r}")


def _comparison(column: str, sign: str, value: str) -> Test:
    if sign in ("=", "=="):
        return lambda row: _equal(row[column], value)
    if sign == "!=":
        return lambda row: not _equal(row[column], value)
    wanted = number_in(value)
    if wanted is None:
        raise FilterError(f"{column} {sign} needs a number, and not {value!r}")
    compare = _ORDERED[sign]

    def fits(row: Row) -> bool:
        number = number_in(row[column])
        return number is not None and compare(number, wanted)

    return fits


def _equal(one: str, other: str) -> bool:
    """Compare numbers as such, but for those that begin with zeros, as keys do; else text, whatever its case."""
    numbers = number_in(one), number_in(other)
    if None not in numbers and not any(re.match(r"0\d*[0-9]$", text.strip()) for text in (one, other)):
        return numbers[0] == numbers[1]
    return one.strip().casefold() == other.strip().casefold()

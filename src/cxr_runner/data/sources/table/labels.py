"""What the text of a label column says: positive, negative, or neither and why."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from cxr_runner.base.errors import UserError
from cxr_runner.base.numbers import list_few
from cxr_runner.base.where import number_in
from cxr_runner.data.sources.classes import Names, read_names
from cxr_runner.data.sources.names import fold
from cxr_runner.data.sources.table.combine import NO_LABEL, OTHER

UNCERTAIN, BOTH = "uncertain label", "labels of both classes"
ALL_OTHERS = "*"  # as data.negative: whatever is not positive


@dataclass(frozen=True)
class LabelOptions:
    """How labels are read; as in :class:`~cxr_runner.config.data_schema.TableConfig`."""

    positive: Names
    negative: Names
    ignore: Names
    separator: str | None
    match: Literal["contains", "equals"]
    uncertain: Literal["positive", "negative", "drop"] | None
    empty: Literal["negative", "drop"]


@dataclass(frozen=True)
class Labelling:
    """How the text of a label becomes a label.

    Attributes:
        names: names of the negative and the positive class.
        label: returns 0, 1, or the reason why a text is neither.
    """

    names: tuple[str, str]
    label: Callable[[str], int | str]


def make_labelling(column: str, texts: Sequence[str], options: LabelOptions) -> Labelling:
    """Find out how the labels of a column are to be read.

    Args:
        column: header of the column.
        texts: text of every row.
        options: how they are read.

    Raises:
        UserError: it is not clear which labels are positive and negative, or a name fits none of them.
    """
    filled = {text for text in texts if text}
    if not filled:
        raise UserError.for_key("data.label_column", column, "has no label in any row")
    numbers = {number_in(text) for text in filled}
    named = (options.positive, options.negative, options.ignore) != (None, None, None)
    if not named and numbers <= {0.0, 1.0, -1.0}:
        return _targets(column, texts, options)
    return _names(column, texts, options)


def _targets(column: str, texts: Sequence[str], options: LabelOptions) -> Labelling:
    """Read 1, 0 and -1 (uncertain), as tables with one column a finding have them."""
    if options.uncertain is None and (number := sum(number_in(text) == -1 for text in texts)):
        valid = f"{number:,} rows have -1 in {column}, which is uncertain: valid are positive, negative and drop"
        raise UserError.for_key("data.uncertain", None, valid)
    of_uncertain: int | str = {"positive": 1, "negative": 0}.get(options.uncertain or "", UNCERTAIN)
    known: dict[float | None, int | str] = {1.0: 1, 0.0: 0, -1.0: of_uncertain, None: _of_empty(options)}
    return Labelling((f"{column}=0", f"{column}=1"), lambda text: known[number_in(text)])


def _names(column: str, texts: Sequence[str], options: LabelOptions) -> Labelling:
    """Read names of findings, one or several in each row."""
    counted = Counter(part for text in texts for part in _parts(text, options.separator))
    # The most frequent first, since messages name only some.
    spelled: dict[str, str] = {}
    for name, _ in counted.most_common():
        spelled.setdefault(fold(name), name)
    known = list(spelled.values())
    ignored = read_names("data.ignore", options.ignore, known)
    present = [name for name in known if name not in ignored]
    positives = read_names("data.positive", options.positive, present)
    others_negative = options.negative == ALL_OTHERS
    negatives = [] if others_negative else read_names("data.negative", options.negative, present)
    if not positives:
        positives = [name for name in present if fold(name) == "pneumonia"]
        if len(present) != 2 or not positives:
            valid = f"say which labels of {column} are positive, one or a list: {list_few(present, most=12)}"
            raise UserError.for_key("data.positive", None, valid)
    _check_separator(column, texts, positives, options)
    rest = [name for name in present if name not in positives]
    if both := [name for name in positives if name in negatives]:
        raise UserError.for_key("data.positive", options.positive, f"{list_few(both)} is in data.negative too")
    if not negatives and not others_negative:
        if len(rest) != 1:
            valid = f"say which labels of {column} are negative, one, a list, or * for all others: "
            valid += list_few(rest, most=12)
            raise UserError.for_key("data.negative", None, valid)
        negatives = rest
    names = ("not " + "+".join(positives) if others_negative else "+".join(negatives), "+".join(positives))
    return Labelling(names, _reader(positives, None if others_negative else negatives, ignored, options))


def _check_separator(column: str, texts: Sequence[str], positives: Sequence[str], options: LabelOptions) -> None:
    """Refuse labels that hold a positive one between bars and the like, where no separator is given."""
    if options.separator is not None or options.match == "equals":
        return
    wanted = set(map(fold, positives))
    for separator in "|;,":
        joined = [text for text in texts if separator in text and fold(text) not in wanted]
        if number := sum(not wanted.isdisjoint(map(fold, _parts(text, separator))) for text in joined):
            valid = f"{number:,} rows hold {list_few(positives)} among other labels of {column}, joined by {separator}"
            ways_out = "give that sign, or data.label_match=equals where only rows with nothing else are positive"
            raise UserError.for_key("data.label_separator", None, f"{valid}: {ways_out}")


def _reader(
    positives: Sequence[str], negatives: Sequence[str] | None, ignored: Sequence[str], options: LabelOptions
) -> Callable[[str], int | str]:
    positive, out = set(map(fold, positives)), set(map(fold, ignored))
    negative = None if negatives is None else set(map(fold, negatives))

    def label(text: str) -> int | str:
        parts = {fold(part) for part in _parts(text, options.separator)} - out
        if not text:
            return _of_empty(options)
        is_positive = bool(parts & positive) if options.match == "contains" else bool(parts) and parts <= positive
        if not parts:
            return OTHER  # nothing but labels that are ignored
        if negative is None:
            return int(is_positive) if is_positive or not parts & positive else OTHER
        is_negative = bool(parts & negative) if options.match == "contains" else bool(parts) and parts <= negative
        if is_positive and is_negative:
            return BOTH
        return 1 if is_positive else 0 if is_negative else OTHER

    return label


def _of_empty(options: LabelOptions) -> int | str:
    return 0 if options.empty == "negative" else NO_LABEL


def _parts(text: str, separator: str | None) -> list[str]:
    if separator is None:
        return [text] if text else []
    return [part.strip() for part in text.split(separator) if part.strip()]

"""Two configurations side by side, in words and tables."""

import pandas as pd

from cxr_runner.artifacts.metrics import metric
from cxr_runner.base.markdown import printable
from cxr_runner.base.numbers import format_difference, format_number
from cxr_runner.base.tables import Table
from cxr_runner.report.compare.side_by_side import SideBySide
from cxr_runner.report.compare.uncertainty.resampling import RESAMPLED_METRICS
from cxr_runner.report.render.cells import p_value


def side_by_side_table(pair: SideBySide) -> Table:
    """Return what differs between two configurations: settings first, then metrics with their difference."""
    first, second = pair.first.short, pair.second.short
    headings = ["", first, second if second != first else f"{second} ", "difference", "p"]
    rows = [[printable(key), _value(one), _value(other), "", ""] for key, (one, other) in pair.settings.items()]
    for key in RESAMPLED_METRICS:
        difference = pair.differences.get(key)
        said = format_difference(difference.mean, difference.low, difference.high) if difference else ""
        p = p_value(difference.p) if difference else ""
        rows.append([metric(key).words, *(format_number(one.mean(key)) for one in (pair.first, pair.second)), said, p])
    seconds = (f"{one.mean('train_seconds'):.3g}" for one in (pair.first, pair.second))
    rows.append(["seconds of training", *seconds, "", ""])
    shown = pd.DataFrame(rows, columns=headings)
    caption = (
        "What differs: settings, then means over all runs on the test split; first minus second with its 95 % "
        "interval, on the splits and seeds that both have, p of this one pair alone."
    )
    data = shown.set_axis(["what", "first", "second", "difference", "p"], axis=1)
    return Table("pair", caption, data, shown, tuple(headings), f"{first} beside {second}")


def pair_lines(pair: SideBySide) -> list[str]:
    """Return two configurations side by side for a terminal, a line for everything that differs."""
    lines = ["", f"{pair.first.short}   |   {pair.second.short}"]
    lines += [f"  {printable(key)}: {_value(one)} | {_value(other)}" for key, (one, other) in pair.settings.items()]
    for key in RESAMPLED_METRICS:
        values = " | ".join(format_number(one.mean(key)) for one in (pair.first, pair.second))
        difference = pair.differences.get(key)
        gap = ""
        if difference:
            gap = f", {format_difference(difference.mean, difference.low, difference.high)}"
            gap += f", p {p}" if (p := p_value(difference.p)) else ""
        lines.append(f"  {metric(key).words}: {values}{gap}")
    return lines


def _value(value: object) -> str:
    return "null" if value is None else printable(str(value).lower() if isinstance(value, bool) else value)

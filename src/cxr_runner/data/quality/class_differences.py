"""Whether the classes can be told by how their images were stored, and not by what they show."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

CERTAIN = 3.3  # standard errors: one false alarm in a thousand
_FEW_SIZES = 10
LEAST = 0.1  # difference of two shares, or distance of an AUROC from 0.5, that is worth a line


def differing_attributes(
    table: pd.DataFrame, class_names: Sequence[str], inverted: NDArray[np.bool_] | None
) -> list[str]:
    """Name the attributes by which classes differ, each with what it is in either class.

    Bits, mode, format, polarity and, where there are few, sizes are compared by the shares of the images that have a
    value (test of two proportions), other sizes by the AUROC of the aspect ratio and of the number of pixels alone.

    Args:
        table: images, with columns ``label``, ``format``, ``mode``, ``bits``, ``width`` and ``height``.
        class_names: names of labels 0 and 1.
        inverted: bool [images]; None where nothing is known of polarity.
    """
    labels = table["label"].to_numpy(np.int64)
    columns = {"bits": table["bits"].astype(str), "mode": table["mode"], "format": table["format"]}
    pixels = table["width"].astype(str) + "x" + table["height"].astype(str)
    if pixels.nunique() <= _FEW_SIZES:  # of many sizes, a number alone tells
        columns["size"] = pixels
    if inverted is not None:
        columns["polarity"] = pd.Series(np.where(inverted, "inverted", "as the rest"), table.index)
    phrases = []
    for name, values in columns.items():
        telling = [value for value in sorted(values.unique()) if _shares_differ((values == value).to_numpy(), labels)]
        if telling:
            parts = [f"{class_name} {_shares(values[labels == label])}" for label, class_name in enumerate(class_names)]
            phrases.append(f"{name} ({', '.join(parts)})")
    sizes = {"aspect ratio": table["width"] / table["height"], "number of pixels": table["width"] * table["height"]}
    for name, numbers in sizes.items():
        area = _telling_auroc(numbers.to_numpy(float), labels)
        if area is not None and not any(phrase.startswith("size") for phrase in phrases):
            phrases.append(f"{name} (which alone tells them apart with an AUROC of {area:.2f})")
    return phrases


def _shares_differ(has: NDArray[np.bool_], labels: NDArray[np.int64]) -> bool:
    """Return whether the share of images that have a value differs between the classes, beyond chance."""
    sizes = [int((labels == label).sum()) for label in (0, 1)]
    shares = [float(has[labels == label].mean()) for label in (0, 1)]
    pooled = float(has.mean())
    error = np.sqrt(pooled * (1 - pooled) * sum(1 / size for size in sizes))
    return bool(abs(shares[0] - shares[1]) > max(LEAST, CERTAIN * error))


def _telling_auroc(values: NDArray[np.float64], labels: NDArray[np.int64]) -> float | None:
    """Return the AUROC of values, at least 0.5, where it is more than chance and worth a line."""
    from cxr_runner.stats.scores import auroc

    if not np.ptp(values):
        return None
    area = float(auroc(values, labels))
    positives = int(labels.sum())
    negatives = len(labels) - positives
    error = np.sqrt((len(labels) + 1) / (12 * positives * negatives))  # of the Mann-Whitney statistic, by chance
    return max(area, 1 - area) if abs(area - 0.5) > max(2 * LEAST, CERTAIN * error) else None


def _shares(values: "pd.Series[str]") -> str:
    counts = values.value_counts()
    if len(counts) == 1:
        return str(counts.index[0])
    return " and ".join(f"{number / len(values):.0%} {value}" for value, number in counts.items())

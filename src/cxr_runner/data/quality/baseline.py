"""A linear baseline on features of images: what can be told without a network."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_runner.data.sources import SPLITS

STRENGTHS = (0.01, 1.0)  # C of scikit-learn's LogisticRegression; the validation split chooses


def usable(split: NDArray[np.str_], labels: NDArray[np.int64]) -> bool:
    """Return whether train, val and test each have both classes; in a tiny data set one may not."""
    return all(len(set(labels[split == name].tolist())) == 2 for name in SPLITS)


def fit_baseline(values: NDArray[Any], labels: NDArray[np.int64], split: NDArray[np.str_]) -> NDArray[np.float64]:
    """Train a baseline on train and val; return its logits on test.

    Args:
        values: float [images, features].
        labels: int64 [images].
        split: str [images].

    Returns:
        float64 [test images], the logits; where no feature varies, the log odds of the classes in train.
    """
    train, test = split == "train", split == "test"
    if not np.ptp(values[train], axis=0).any():
        share = labels[train].mean()
        return np.full(int(test.sum()), np.log(share / (1 - share)))
    return max(_candidates(values, labels, split), key=lambda candidate: candidate[0])[1]


def _candidates(
    values: NDArray[Any], labels: NDArray[np.int64], split: NDArray[np.str_]
) -> Iterator[tuple[float, NDArray[np.float64]]]:
    """Yield, for every strength of regularisation, the AUROC on val and the logits on test."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    for strength in STRENGTHS:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=5000))
        model.fit(values[split == "train"], labels[split == "train"])
        on_val = roc_auc_score(labels[split == "val"], model.decision_function(values[split == "val"]))
        yield float(on_val), model.decision_function(values[split == "test"]).astype(np.float64)

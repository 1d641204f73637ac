"""What the class weight does beyond moving the threshold: configurations that differ in it alone, compared."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner import stats
from cxr_runner.config.usual_settings import flatten_settings
from cxr_runner.report.collected import SplitLogits
from cxr_runner.report.collected_runs import CollectedRun
from cxr_runner.report.compare.uncertainty.resampling import Resampling
from cxr_runner.report.compare.uncertainty.weight_shift import undone

_WEIGHT = "loss.pos_weight"
Called = list[NDArray[np.bool_]]  # of each split, bool [seeds, images of test]


class _Rule(NamedTuple):
    """What the unweighted and the weighted runs call positive by a rule."""

    name: str
    unweighted: Called
    weighted: Called


def weight_pairs(runs: Mapping[str, CollectedRun]) -> list[tuple[str, str]]:
    """Return the configurations that differ in the class weight alone, the unweighted first.

    Args:
        runs: one run of every configuration, by the configuration's name.
    """
    settings = {name: dict(flatten_settings(run.config)) for name, run in runs.items()}
    return [
        (name, other)
        for name, given in settings.items()
        if given.get(_WEIGHT) is None
        for other, weighted in settings.items()
        if weighted.get(_WEIGHT) is not None and {**weighted, _WEIGHT: None} == {**given, _WEIGHT: None}
    ]


def weight_table(resampling: Resampling, runs: Mapping[str, CollectedRun]) -> pd.DataFrame | None:
    """Compare unweighted and weighted configurations at three thresholds; None where there is no pair of them.

    The rules: ``zero``, both at the threshold 0; ``matched``, each run at the threshold that gives it the same
    specificity on the validation split, the higher of the two that both have there at 0, since behind a last ReLU a
    threshold can be raised and not lowered; ``undone``, both at 0 after ln(weight) is taken from the weighted logits,
    which is not possible behind a last ReLU.

    Args:
        resampling: metrics of the configurations.
        runs: one run of every configuration whose predictions are known, by the configuration's name.
    """
    entries = [
        entry
        for unweighted, weighted in weight_pairs(runs)
        for rule in _rules(resampling, unweighted, weighted, runs[weighted])
        if (entry := _compare(resampling, unweighted, weighted, rule))
    ]
    if not entries:
        return None
    data = pd.DataFrame(entries)
    data["accuracy_holm"] = data.groupby("rule")["accuracy_p"].transform(stats.holm)
    return data


def _rules(resampling: Resampling, unweighted: str, weighted: str, run: CollectedRun) -> Iterator[_Rule]:
    one, other = resampling.splits(unweighted), resampling.splits(weighted)
    yield _Rule("zero", *([split.test > 0 for split in splits] for splits in (one, other)))
    target = max(_specificity(splits) for splits in (one, other))
    if target > 0:
        yield _Rule("matched", *(_matched(splits, target) for splits in (one, other)))
    shifted = undone(other, run)
    if shifted is not None:
        yield _Rule("undone", [split.test > 0 for split in one], [logits > 0 for logits in shifted])


def _specificity(splits: Sequence[SplitLogits]) -> float:
    """Return the mean specificity on validation of the runs that did not collapse; 0 without any."""
    values = [stats.specificity(one.trained.val > 0, one.val_labels) for one in splits]
    return float(np.concatenate(values).mean()) if sum(map(len, values)) else 0.0


def _matched(splits: Sequence[SplitLogits], target: float) -> Called:
    return [one.test > stats.match_threshold(one.val, one.val_labels, target)[:, None] for one in splits]


def _compare(resampling: Resampling, unweighted: str, weighted: str, rule: _Rule) -> dict[str, Any]:
    """Return the runs that did not collapse by a rule; empty where there are none of either."""
    entry: dict[str, Any] = {"unweighted": unweighted, "weighted": weighted, "rule": rule.name}
    alive = {name: ~resampling.collapsed(name) for name in (unweighted, weighted)}
    if not all(mask.any() for mask in alive.values()):
        return {}
    sides = {"unweighted": (unweighted, rule.unweighted), "weighted": (weighted, rule.weighted)}
    for side, (name, called) in sides.items():
        for metric, function in (("sensitivity", stats.sensitivity), ("specificity", stats.specificity)):
            values = [
                function(positive[~one.collapsed], resampling.predictions.labels[one.test_rows])
                for positive, one in zip(called, resampling.splits(name), strict=True)
            ]
            entry[f"{side}_{metric}"] = float(np.concatenate(values).mean())
    for metric in ("accuracy", "f1"):
        before, after = (
            resampling.decided(name, metric, called).chosen(alive[name])  # type: ignore[arg-type]
            for name, called in sides.values()
        )
        difference = after.minus(before).estimate()
        entry |= {f"unweighted_{metric}": before.mean, f"weighted_{metric}": after.mean}
        entry |= {f"{metric}_difference": difference.mean, f"{metric}_p": difference.p}
        entry |= {f"{metric}_low": difference.low, f"{metric}_high": difference.high}
    return entry

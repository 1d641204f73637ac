"""What the class weight does beyond moving the threshold, and what the probabilities of the models are worth."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner import stats
from cxr_runner.base.numbers import mean_sd, number, plural, signed
from cxr_runner.base.tables import Table
from cxr_runner.report.runs.predictions import Logits, Predictions
from cxr_runner.report.uncertainty.resampling import LEVEL, ONE_SEED, Metric, Resampling
from cxr_runner.study import Row, load_study

SPECIFICITIES = (0.90, 0.95)
_RULES = {
    "zero": "0",
    "matched": "matched on validation",
    "undone": "0, shift undone",
}


class _Decisions(NamedTuple):
    """What the unweighted and the weighted runs call positive, bool [seeds, images of test]."""

    rule: str
    unweighted: NDArray[np.bool_]
    weighted: NDArray[np.bool_]


def weight_pairs() -> list[tuple[Row, Row]]:
    """Return the rows of the study that differ in the class weight alone, the unweighted first."""
    rows = load_study().rows
    return [
        (row, other)
        for row in rows
        for other in rows
        if other.weighted and other.settings() | {"loss.pos_weight": None} == row.settings()
    ]


def weight_table(resampling: Resampling) -> Table | None:
    """Compare unweighted and weighted rows at three thresholds; None where there is no pair of them.

    The rules: ``zero``, both at the threshold 0; ``matched``, each run at the threshold that gives it the same
    specificity on the validation split, the higher of the two that both have there at 0, since behind a last ReLU a
    threshold can be raised and not lowered; ``undone``, both at 0 after ln(weight) is taken from the weighted logits,
    which is not possible behind a last ReLU.
    """
    entries = [
        _compare(resampling, unweighted, weighted, decisions)
        for unweighted, weighted in weight_pairs()
        if {unweighted.id, weighted.id} <= set(resampling.predictions.rows)
        for decisions in _decisions(resampling.predictions, unweighted, weighted)
    ]
    if not entries:
        return None
    data = pd.DataFrame(entries)
    data["accuracy_holm"] = data.groupby("rule")["accuracy_p"].transform(stats.holm)
    shown = pd.DataFrame(
        {
            "models": [f"{entry['weighted']} − {entry['unweighted']}" for entry in entries],
            "threshold": [_RULES[entry["rule"]] for entry in entries],
            **{
                words: [f"{entry[f'unweighted_{name}']:.3f} → {entry[f'weighted_{name}']:.3f}" for entry in entries]
                for name, words in (("sensitivity", "sensitivity"), ("specificity", "specificity"))
            },
            **{
                f"{words}, difference": [
                    signed(*(entry[f"{name}_{part}"] for part in ("difference", "low", "high"))) for entry in entries
                ]
                for name, words in (("accuracy", "accuracy"), ("f1", "F1"))
            },
        }
    )
    caption = (
        "Without → with the class weight (mean over the runs that live), and with minus without (over the seeds with "
        f"which both live; 95 %, the variances over seeds and {resampling.unit} added up, thresholds taken as given). "
        "A weight of 0.37 moves the best logit by ln 0.37 = −0.99, which trades sensitivity for specificity by "
        "construction; what is left at the same validation specificity, or with the shift undone "
        "(impossible behind a last ReLU), is what else it does."
    )
    return Table("weight", caption, data, shown, ("models", "threshold"), "With and without class weight")


def weight_sentence(table: Table) -> str:
    """Say for how many pairs the weight changes the accuracy, at the threshold 0 and at matched ones."""
    tested = table.data[table.data["accuracy_p"].notna()]
    if tested.empty:
        return f"Whether the class weight changes the accuracy: {ONE_SEED}."
    zero, matched = (tested[tested["rule"] == rule]["accuracy_holm"] < LEVEL for rule in ("zero", "matched"))
    which = " that live with several seeds, with the weight and without," * (len(tested) < len(table.data))
    return (
        f"The class weight changes the accuracy of {int(zero.sum())} of the {plural(len(zero), 'model')}{which} at the "
        f"threshold 0, and of {int(matched.sum())} where both are cut at the same validation specificity (p below "
        f"{LEVEL} after Holm's correction)."
    )


def quality_table(resampling: Resampling) -> Table:
    """Return ranking, calibration and sensitivity at fixed specificity of all rows, means over the living runs."""
    entries = [_quality(resampling, found) for found in resampling.predictions.rows.values()]
    data = pd.DataFrame(entries)
    columns = {"auroc": "AUROC", "auprc": "AUPRC", "brier": "Brier", "ece": "ECE"}
    columns |= {"brier_undone": "Brier, undone", "ece_undone": "ECE, undone"}
    shown = pd.DataFrame({"model": [f"{entry['row']}: {entry['model']}" for entry in entries]})
    shown = shown.assign(**{words: [number(entry[name]) for entry in entries] for name, words in columns.items()})
    for target in SPECIFICITIES:
        name = f"at_{target * 100:.0f}"
        cells = [
            f"{mean_sd(entry[f'sensitivity_{name}'], entry[f'sensitivity_{name}_sd'])} "
            f"({entry[f'specificity_{name}']:.3f})"
            for entry in entries
        ]
        shown[f"sensitivity at {target:.0%} specificity"] = cells
    caption = (
        "AUROC and AUPRC judge the order of the logits alone, Brier score and ECE whether the probabilities are true "
        f"(0 is best; ECE of {stats.NUM_BINS} bins; undone: after ln(weight) is taken from the logits). The thresholds "
        "of the last two columns are chosen on validation; in brackets the specificity that they have on the test "
        "split."
    )
    return Table("quality", caption, data, shown, ("model",), "Ranking, calibration, sensitivity at fixed specificity")


def undone(found: Logits) -> NDArray[np.float64] | None:
    """Return the test logits of weighted runs without the shift of their weight; None where there is none to undo."""
    if found.row.pos_weight is None or found.row.family == "linear_relu":
        return None
    return stats.undo_weight_shift(found.test, found.row.pos_weight)


def probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sigmoid of logits."""
    from scipy.special import expit  # here, because scipy takes a second to import

    return np.asarray(expit(logits))


def _decisions(predictions: Predictions, unweighted: Row, weighted: Row) -> Iterator[_Decisions]:
    one, other = predictions.rows[unweighted.id], predictions.rows[weighted.id]
    yield _Decisions("zero", one.test > 0, other.test > 0)
    labels = predictions.val_labels
    target = max(float(stats.specificity(found.val > 0, labels).mean()) for found in (one, other))
    cuts = [stats.match_threshold(found.val, labels, target)[:, None] for found in (one, other)]
    yield _Decisions("matched", one.test > cuts[0], other.test > cuts[1])
    shifted = undone(other)
    if shifted is not None:
        yield _Decisions("undone", one.test > 0, shifted > 0)


def _compare(resampling: Resampling, unweighted: Row, weighted: Row, found: _Decisions) -> dict[str, Any]:
    labels = resampling.predictions.test_labels
    entry: dict[str, Any] = {"unweighted": unweighted.id, "weighted": weighted.id, "rule": found.rule}
    sides = {"unweighted": (unweighted, found.unweighted), "weighted": (weighted, found.weighted)}
    for side, (_, positive) in sides.items():
        entry[f"{side}_sensitivity"] = float(stats.sensitivity(positive, labels).mean())
        entry[f"{side}_specificity"] = float(stats.specificity(positive, labels).mean())
    metrics: tuple[Metric, ...] = ("accuracy", "f1")
    for metric in metrics:
        before, after = (resampling.decided(row.id, metric, positive) for row, positive in sides.values())
        difference = after.minus(before)
        entry |= {f"unweighted_{metric}": before.mean, f"weighted_{metric}": after.mean}
        entry |= {f"{metric}_difference": difference.estimate, f"{metric}_p": difference.p}
        entry |= {f"{metric}_low": difference.low, f"{metric}_high": difference.high}
    return entry


def _quality(resampling: Resampling, found: Logits) -> dict[str, Any]:
    predictions, labels = resampling.predictions, resampling.predictions.test_labels
    entry: dict[str, Any] = {"row": found.row.id, "model": found.row.title, "num_alive": len(found.seeds)}
    entry["auroc"] = float(np.mean([stats.auroc(logits, labels) for logits in found.test]))
    entry["auprc"] = float(np.mean([stats.auprc(logits, labels) for logits in found.test]))
    entry |= _calibration(found.test, labels, "")
    entry |= _calibration(undone(found), labels, "_undone")
    for target in SPECIFICITIES:
        point = stats.sensitivity_at_specificity((found.val, predictions.val_labels), (found.test, labels), target)
        name = f"at_{target * 100:.0f}"
        entry[f"sensitivity_{name}"] = point.sensitivity.mean()
        entry[f"sensitivity_{name}_sd"] = point.sensitivity.std(ddof=1) if len(found.seeds) > 1 else np.nan
        entry[f"specificity_{name}"] = point.specificity.mean()
    return entry


def _calibration(logits: NDArray[np.float64] | None, labels: NDArray[np.int64], suffix: str) -> dict[str, float]:
    if logits is None:
        return {f"brier{suffix}": np.nan, f"ece{suffix}": np.nan}
    answers = probabilities(logits)
    errors = [stats.reliability(run, labels).ece for run in answers]
    return {f"brier{suffix}": float(stats.brier(answers, labels).mean()), f"ece{suffix}": float(np.mean(errors))}

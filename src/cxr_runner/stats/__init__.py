"""Statistics of classifiers on numpy arrays, without torch: how uncertain a metric is, and whether two differ.

Two things make a metric uncertain: the seed that a model was trained with, and the images that happened to be in the
test split. Seeds are repeated, so their spread is seen; images are resampled, in whole patients where these are known.
"""

from cxr_runner.stats.groups import (
    PERMUTATIONS,
    ScoredGroup,
    compare_aurocs,
    compare_shares,
    independent_difference,
    permutation_test,
    share_interval,
)
from cxr_runner.stats.intervals import (
    CONFIDENCE,
    REPLICATES,
    Difference,
    Interval,
    added_error,
    bootstrap,
    effective_images,
    mean_over_seeds,
    percentile_interval,
    prediction_interval,
    resample,
    t_interval,
    wilson,
)
from cxr_runner.stats.replicates import Estimate, Sources, mean_over_runs
from cxr_runner.stats.scores import accuracy, auprc, auroc, brier, f1, sensitivity, specificity
from cxr_runner.stats.significance import (
    DeLong,
    Equivalence,
    McNemar,
    compare_rates,
    delong,
    equivalence,
    holm,
    mcnemar_exact,
)
from cxr_runner.stats.thresholds import (
    NUM_BINS,
    OperatingPoint,
    Reliability,
    match_threshold,
    reliability,
    sensitivity_at_specificity,
    undo_weight_shift,
)

__all__ = [
    "CONFIDENCE",
    "NUM_BINS",
    "PERMUTATIONS",
    "REPLICATES",
    "DeLong",
    "Difference",
    "Equivalence",
    "Estimate",
    "Interval",
    "McNemar",
    "OperatingPoint",
    "Reliability",
    "ScoredGroup",
    "Sources",
    "accuracy",
    "added_error",
    "auprc",
    "auroc",
    "bootstrap",
    "brier",
    "compare_aurocs",
    "compare_rates",
    "compare_shares",
    "delong",
    "effective_images",
    "equivalence",
    "f1",
    "holm",
    "independent_difference",
    "match_threshold",
    "mcnemar_exact",
    "mean_over_runs",
    "mean_over_seeds",
    "percentile_interval",
    "permutation_test",
    "prediction_interval",
    "reliability",
    "resample",
    "sensitivity",
    "sensitivity_at_specificity",
    "share_interval",
    "specificity",
    "t_interval",
    "undo_weight_shift",
    "wilson",
]

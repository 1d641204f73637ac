"""Statistics of classifiers on numpy arrays, without torch: how uncertain a metric is, and whether two differ.

Two things make a metric uncertain: the seed that a model was trained with, and the images that happened to be in the
test split. Seeds are repeated, so their spread is seen; images are resampled, in whole patients where these are known.
"""

from cxr_runner.stats.another_run import image_variance, predict_run
from cxr_runner.stats.decision_curves import DecisionCurve, decision_curve
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
    resample,
    wilson,
)
from cxr_runner.stats.operating_curves import CurveBand, pr_points, roc_points
from cxr_runner.stats.pictures import differs_from_zero, morans_i, picture_agreement, reduced
from cxr_runner.stats.power import Needed, Share, what_would_decide
from cxr_runner.stats.recalibration import CalibrationFit, CalibrationRule, LogitMap, calibration_fit, fit_calibration
from cxr_runner.stats.replicates import Estimate, Sources, mean_over_runs
from cxr_runner.stats.roc_areas import AurocParts, DeLong, auroc_parts, delong, delong_of_parts
from cxr_runner.stats.scores import accuracy, auprc, auroc, brier, f1, sensitivity, specificity
from cxr_runner.stats.significance import Equivalence, McNemar, compare_rates, equivalence, holm, mcnemar_exact
from cxr_runner.stats.spread import between_by_image, between_by_seed, variance_between
from cxr_runner.stats.thresholds import (
    NUM_BINS,
    OperatingPoint,
    Reliability,
    ThresholdRule,
    choose_threshold,
    match_threshold,
    operating_point,
    reliability,
    sensitivity_at_specificity,
    undo_weight_shift,
)
from cxr_runner.stats.two_samples import auroc_interval, independent_delong

__all__ = [
    "CONFIDENCE",
    "NUM_BINS",
    "PERMUTATIONS",
    "REPLICATES",
    "AurocParts",
    "CalibrationFit",
    "CalibrationRule",
    "CurveBand",
    "DeLong",
    "DecisionCurve",
    "Difference",
    "Equivalence",
    "Estimate",
    "Interval",
    "LogitMap",
    "McNemar",
    "Needed",
    "OperatingPoint",
    "Reliability",
    "ScoredGroup",
    "Share",
    "Sources",
    "ThresholdRule",
    "accuracy",
    "added_error",
    "auprc",
    "auroc",
    "auroc_interval",
    "auroc_parts",
    "between_by_image",
    "between_by_seed",
    "bootstrap",
    "brier",
    "calibration_fit",
    "choose_threshold",
    "compare_aurocs",
    "compare_rates",
    "compare_shares",
    "decision_curve",
    "delong",
    "delong_of_parts",
    "differs_from_zero",
    "effective_images",
    "equivalence",
    "f1",
    "fit_calibration",
    "holm",
    "image_variance",
    "independent_delong",
    "independent_difference",
    "match_threshold",
    "mcnemar_exact",
    "mean_over_runs",
    "mean_over_seeds",
    "morans_i",
    "operating_point",
    "percentile_interval",
    "permutation_test",
    "picture_agreement",
    "pr_points",
    "predict_run",
    "reduced",
    "reliability",
    "resample",
    "roc_points",
    "sensitivity",
    "sensitivity_at_specificity",
    "share_interval",
    "specificity",
    "undo_weight_shift",
    "variance_between",
    "what_would_decide",
    "wilson",
]

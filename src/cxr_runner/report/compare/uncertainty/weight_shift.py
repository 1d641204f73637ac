"""The shift that a class weight gives the logits, taken back."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxr_runner import stats
from cxr_runner.report.collected import SplitLogits
from cxr_runner.report.collected_runs import CollectedRun


def undone(splits: Sequence[SplitLogits], run: CollectedRun) -> list[NDArray[np.float64]] | None:
    """Return the test logits of weighted runs, a split each, without the shift of their weight.

    None where there is none to undo.

    Args:
        splits: logits of a configuration.
        run: one run of it.
    """
    weight, model = run.metrics.get("pos_weight"), run.config["model"]
    ends_in_relu = model.get("name") == "linear_relu" and model.get("output_relu", True)
    if not isinstance(weight, int | float) or weight <= 0 or ends_in_relu:
        return None
    return [stats.undo_weight_shift(one.test, float(weight)) for one in splits]

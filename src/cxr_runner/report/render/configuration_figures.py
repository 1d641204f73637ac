"""Figures of all configurations on a data set, whether they are of a study or not."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.collected_runs import Histories
from cxr_runner.report.compare.sized_comparison import Comparison
from cxr_runner.report.render.history_curves import describe_histories, plot_histories
from cxr_runner.report.render.picture import Picture

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure


def configuration_pictures(runs: DataSetRuns, compared: Sequence[Comparison], *, whole: bool) -> list[Picture]:
    """Return the figures that there is something to draw for.

    Args:
        runs: runs on the data set.
        compared: their configurations, at every size.
        whole: whether the curves of models of the study are among them; else they stand in its figures.
    """
    curves = _curves(runs, compared, whole)
    return [curves] if curves else []


def _curves(runs: DataSetRuns, compared: Sequence[Comparison], whole: bool) -> Picture | None:
    groups: dict[str, Histories] = {}
    several = len(compared) > 1
    for one in compared:
        for standing in one.standings:
            if standing.row is None or whole:
                histories = runs.histories(standing.table)
                if any(histories):
                    groups[f"{standing.label}, {one.image_size} px" if several else standing.label] = histories
    if not groups:
        return None

    def draw() -> "Figure":
        return plot_histories(groups, runs.heading)

    solved = any("l2" in history for histories in groups.values() for history in histories.trained)
    by = "by epoch; of logistic regression by penalty, from large to small" if solved else "by epoch"
    text = f"Loss and accuracy {by}" + ("." if whole else " of the configurations that are none of the study's models.")
    return Picture("curves", "Curves", text, describe_histories(groups), draw=draw)

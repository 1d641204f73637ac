"""The picture of the errata: the published ranking beside the one by pooled accuracy."""

import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cxr_runner.plots.study_plots import family_color
from cxr_runner.study.published import Study
from cxr_runner.study.study_rows import FAMILIES


@style.context("default")
def plot_ranks(recovered: pd.DataFrame, study: Study) -> Figure:
    """Draw published rank against recovered rank, and the pooled accuracies with their Wilson intervals.

    Args:
        recovered: as :func:`cxr_runner.study.errata.recovery_table` returns it.
        study: study that it is about.
    """
    before = recovered.sort_values(["published_rank", "recovered_rank"], kind="stable")["row"].tolist()
    ordered = recovered.sort_values(["recovered_rank", "published_rank"], kind="stable")
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    slopes, intervals = figure.subplots(1, 2, sharey=True, width_ratios=(1.6, 1))
    for position, entry in enumerate(ordered.to_dict("records")):
        row = study.row(entry["row"])
        color, dashes = family_color(row.family), "dashed" if row.weighted else "solid"
        former = before.index(row.id)
        slopes.plot([0, 1], [former, position], color=color, linestyle=dashes, linewidth=1.8, marker="o", markersize=4)
        left = f"{entry['published_rank']}.   model {row.id}   {entry['published']:.1f} %"
        slopes.text(-0.08, former, left, ha="right", va="center")
        weight = ", weighted" * row.weighted
        right = (
            f"{entry['recovered_rank']}.   model {row.id}: {FAMILIES[row.family]}{weight}, batches of {row.batch_size}"
        )
        slopes.text(1.08, position, right, ha="left", va="center")
        ends = [entry["wilson_low"], entry["wilson_high"]]
        intervals.plot(ends, [position, position], color=color, linestyle=dashes, linewidth=1.8)
        intervals.plot(entry["pooled"], position, color=color, marker="o", markersize=6)
        intervals.plot(entry["published"], position, color="black", marker="x", markersize=6, linestyle="none")
    _finish(figure, slopes, intervals, recovered, study.accuracy.key == "accuracy_batch_mean")
    return figure


def _finish(figure: Figure, slopes: Axes, intervals: Axes, recovered: pd.DataFrame, by_batch: bool) -> None:
    slopes.set(xlim=(-1.3, 3.6), ylim=(len(recovered) - 0.4, -1.2))
    for position, align, title in ((-0.08, "right", "as published"), (1.08, "left", "by images classified correctly")):
        slopes.text(position, -0.95, title, ha=align, va="center", weight="bold")
    slopes.set_axis_off()
    num_images = recovered["num_images"].iloc[0]
    intervals.set_xlabel(f"test accuracy in % ({num_images} images)")
    intervals.grid(axis="x", alpha=0.3)
    intervals.spines[["left", "right", "top"]].set_visible(False)
    intervals.tick_params(left=False, labelleft=False)
    published = f"published{' (mean over batches)' * by_batch}"
    keys = [
        Line2D([], [], color="0.3", marker="o", label="recovered, with 95 % Wilson interval"),
        Line2D([], [], color="0.3", linestyle="dashed", label="with class weight"),
        Line2D([], [], color="black", marker="x", linestyle="none", label=published),
    ]
    figure.legend(handles=keys, loc="outside upper center", ncols=len(keys), frameon=False)

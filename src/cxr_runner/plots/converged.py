"""The figure of claims that have none in the study: which models converge at which learning rate."""

from collections.abc import Mapping, Sequence

from matplotlib import colormaps, style
from matplotlib.figure import Figure


@style.context("default")
def plot_converged(
    shares: Mapping[tuple[str, str], tuple[int, int]], models: Sequence[str], lrs: Sequence[str]
) -> Figure:
    """Draw of how many runs how many converge, models by learning rates.

    Args:
        shares: number of runs that converge, and of all, by model and learning rate.
        models: models in the order of the rows.
        lrs: learning rates in the order of the columns.
    """
    figure = Figure(figsize=(1.6 * len(lrs) + 4.5, 0.5 * len(models) + 1.4), layout="constrained")
    axes = figure.subplots()
    axes.set_xlim(-0.5, len(lrs) - 0.5)
    axes.set_ylim(len(models) - 0.5, -0.5)
    for (model, lr), (count, total) in shares.items():
        column, row, share = lrs.index(lr), models.index(model), count / total
        color = colormaps["Blues"](0.6 * share)  # light enough for black ink
        axes.fill_between([column - 0.48, column + 0.48], row - 0.46, row + 0.46, color=color, linewidth=0)
        axes.text(column, row, f"{count} of {total}", ha="center", va="center")
    axes.set_xticks(range(len(lrs)), lrs)
    axes.set_yticks(range(len(models)), models)
    axes.set_xlabel("learning rate")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure

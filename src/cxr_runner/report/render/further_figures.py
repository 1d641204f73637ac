"""Figures beyond the study's: each is a function of what was collected and compared, in the list at the end."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from cxr_runner.report.compare.claims.claim_tests import settings_of
from cxr_runner.report.render.picture import Picture
from cxr_runner.report.render.study_figures import other_curves

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure

    from cxr_runner.report.collected import DataSetRuns
    from cxr_runner.report.compare.comparison import DataSetComparison


def converged(runs: "DataSetRuns", compared: "DataSetComparison") -> Picture:
    """Show which models converge at which learning rate, of those that claims about convergence are made of."""
    study, observed, shares = runs.study, compared.observed, {}
    conditions = [condition for claim in study.claims for condition in claim.conditions]
    for setting in (setting for one in conditions if one.statistic == "converged" for setting in settings_of(one)):
        row = study.row(setting.row)
        ends = [run.numbers["converged"] for run in observed.get(setting, ()) if "converged" in run.numbers]
        if ends:
            lr = setting.override.rpartition("=")[2] or f"{row.lr:g}"
            shares[f"{row.id}: {row.title}", lr] = (sum(value > 0 for value in ends), len(ends))
    title, text = (
        "Which models converge",
        f"Runs that converge, by learning rate. {study.definitions['converged'].says}",
    )
    if not shares:
        return Picture("converged", title, text, notes=("Without runs yet; the claims name the commands.",))
    models = sorted({model for model, _ in shares}, key=lambda model: int(model.partition(":")[0]))
    lrs = sorted({lr for _, lr in shares}, key=float, reverse=True)

    def draw() -> "Figure":
        from cxr_runner.plots.converged import plot_converged

        return plot_converged(shares, models, lrs)

    alt = "; ".join(f"model {model}, lr {lr}: {count} of {total}" for (model, lr), (count, total) in shares.items())
    return Picture("converged", title, text, alt, draw=draw)


def curves(runs: "DataSetRuns", compared: "DataSetComparison") -> Picture | None:
    """Show loss and accuracy of the configurations that are none of the study's."""
    return other_curves(runs)


FIGURES: "tuple[Callable[[DataSetRuns, DataSetComparison], Picture | None], ...]" = (converged, curves)


def further_pictures(runs: "DataSetRuns", compared: "DataSetComparison") -> list[Picture]:
    """Return the figures that there is something to say of."""
    return [picture for show in FIGURES if (picture := show(runs, compared)) is not None]

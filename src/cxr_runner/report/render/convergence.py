"""A figure beyond the study's: which of its models converge, as its claims ask."""

from typing import TYPE_CHECKING

from cxr_runner.report.compare.claims.observed_runs import settings_of
from cxr_runner.report.render.picture import Picture

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure

    from cxr_runner.report.collected import DataSetRuns
    from cxr_runner.report.compare.comparison import DataSetComparison


def convergence_picture(runs: "DataSetRuns", compared: "DataSetComparison") -> Picture | None:
    """Show which models converge at which learning rate, of those that claims about convergence are made of.

    None where there is no such claim.
    """
    study, shares = runs.study, {}
    conditions = [(one, verdict.observed) for verdict in compared.verdicts for one in verdict.claim.conditions]
    settings = [(s, found) for one, found in conditions if one.statistic == "converged" for s in settings_of(one)]
    if not settings:
        return None
    for setting, observed in settings:
        row = study.row(setting.row)
        ends = [run.numbers["converged"] for run in observed.at(setting) if "converged" in run.numbers]
        if ends:
            lr = setting.override.rpartition("=")[2] or f"{row.lr:g}"
            shares[f"{row.id}: {row.title}", lr] = (sum(value > 0 for value in ends), len(ends))
    title = "Which models converge"
    text = f"Runs that converge, by learning rate. {study.definitions['converged'].says}"
    if not shares:
        return Picture("converged", title, text, notes=("Without runs yet; the claims name the commands.",))
    names = [f"{row.id}: {row.title}" for row in study.rows]
    models = sorted({model for model, _ in shares}, key=names.index)
    lrs = sorted({lr for _, lr in shares}, key=float, reverse=True)

    def draw() -> "Figure":
        from cxr_runner.plots.converged import plot_converged

        return plot_converged(shares, models, lrs)

    alt = "; ".join(f"model {model}, lr {lr}: {count} of {total}" for (model, lr), (count, total) in shares.items())
    return Picture("converged", title, text, alt, draw=draw)

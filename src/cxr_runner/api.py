"""What notebooks and scripts call: train as ``cxr-run`` does, and read, compare and draw what was trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from cxr_runner.base.errors import UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.report.figures import study_pictures
from cxr_runner.report.runs.collected import Material, read_histories
from cxr_runner.report.runs.comparison import comparison_table as compare
from cxr_runner.report.runs.groups import Cohort, form_cohorts
from cxr_runner.report.runs.table import load_runs, read_runs

__all__ = ["comparison_table", "load_runs", "run", "study_figure"]

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure


def run(overrides: Sequence[str] = (), **settings: object) -> Path:
    """Train one configuration, as the command ``cxr-run`` does; what is finished is not trained again.

    Args:
        overrides: as one writes them after ``cxr-run``, e.g. ``["experiment=table1_00", "data.image_size=64"]``.
        settings: further ones by keyword, with ``__`` for the dot, e.g. ``model="cnn", data__image_size=64``.

    Returns:
        The run directory; the folder above it where ``seeds`` asks for several runs.

    Raises:
        UserError: a mistake in what was asked for.
        RunFailedError: training failed; the run directory says why.
    """
    from cxr_runner.config.compose import compose
    from cxr_runner.experiment.sweep import train

    given = [f"{key.replace('__', '.')}={_value(value)}" for key, value in settings.items()]
    paths = train(compose([*overrides, *given]))
    return paths[0] if len(paths) == 1 else paths[0].parent


def comparison_table(root: Path | str = "outputs", figure: int = 20) -> pd.DataFrame:
    """Hold the runs below a folder against Fig. 20 or 23 of the study.

    Args:
        root: holds runs on one data set, at one or several image sizes.
        figure: 20 or 23.

    Returns:
        One row a model and metric, as :func:`cxr_runner.report.runs.comparison.comparison_table` describes it.

    Raises:
        UserError: there are no finished runs, or they are on several data sets.
    """
    if figure not in (20, 23):
        raise UserError.for_key("figure", figure, "20 and 23 hold the published test metrics")
    return compare(_only_cohort(Path(root)).repetitions, figure)


def study_figure(root: Path | str = "outputs", number: int = 9) -> "Figure":
    """Draw a figure of the study from the runs below a folder.

    Args:
        root: holds runs on one data set, at one or several image sizes.
        number: of the figure in the study.

    Returns:
        A matplotlib figure; a notebook shows it, pyplot imported or not.

    Raises:
        UserError: there is no such figure, or runs are missing; the message says which command makes them.
    """
    cohort = _only_cohort(Path(root))
    histories, _ = read_histories([cohort], Reporter())
    material = Material(cohort, histories, cohort.samples())
    pictures = {picture.name: picture for picture in study_pictures(material)}
    picture = pictures.get(f"fig{number:02}")
    if picture is None:
        valid = f"valid are {', '.join(str(int(name[3:])) for name in pictures)}"
        raise UserError.for_key("number", number, valid)
    if picture.draw is None:
        raise UserError.for_key(
            "number", number, "no runs to draw it from; make them with " + picture.command.replace("\n", "; ")
        )
    from cxr_runner.plots.notebook import make_shown

    return make_shown(picture.draw())


def _only_cohort(root: Path) -> Cohort:
    data_sets, _ = read_runs(root, Reporter())
    cohorts = form_cohorts(data_sets)
    if len(cohorts) != 1:
        found = "; ".join(cohort.heading for cohort in cohorts) or "no finished run"
        raise UserError.for_key("root", root, f"runs on one data set are needed, here are: {found}")
    return cohorts[0]


def _value(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)

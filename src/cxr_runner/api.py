"""What notebooks and scripts call: train as ``cxr-run`` does, and read, compare and draw what was trained."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from cxr_runner.base.errors import UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.report.collect.histories import add_histories
from cxr_runner.report.collect.run_table import read_runs
from cxr_runner.report.collect.tree import collect_runs, collect_samples
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.compare.published_metrics import compare_with_published
from cxr_runner.report.compare.training_setups import training_setups
from cxr_runner.report.render.commands import Commands
from cxr_runner.report.render.study_figures import study_pictures
from cxr_runner.report.run_columns import RUN_COLUMNS
from cxr_runner.study import Study, load_study

__all__ = ["comparison_table", "load_runs", "run", "study_figure"]

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure


def run(overrides: Sequence[str] | Mapping[str, object] = (), **settings: object) -> Path:
    """Train one configuration, as the command ``cxr-run`` does; what is finished is not trained again.

    Args:
        overrides: settings as one writes them after ``cxr-run``, e.g.
            ``["experiment=table1_00", "data.image_size=64"]``; or values by their keys, e.g.
            ``{"data": "folder", "data.root": path, "data.positive": "1", "loss.pos_weight": None}``. Text is taken
            verbatim.
        settings: further values by keyword, with ``__`` for the dot, e.g. ``model="cnn", data__image_size=64``.

    Returns:
        The run directory; where several runs are asked for, the folder that holds all of them: with other seeds the one
        above it, with other splits or folds that of the outputs tree.

    Raises:
        UserError: a mistake in what was asked for.
        RunFailedError: training failed; the run directory says why.
    """
    from cxr_runner.config.compose import compose
    from cxr_runner.experiment.sweep import train

    paths = train(compose(overrides, {key.replace("__", "."): value for key, value in settings.items()}))
    return Path(os.path.commonpath(paths))


def load_runs(root: Path | str = "outputs") -> pd.DataFrame:
    """Read all finished runs below a folder.

    Args:
        root: outputs tree, a folder of one, or one run directory.

    Returns:
        One row a run with :data:`cxr_runner.report.run_columns.RUN_COLUMNS`: ``row`` is the study's number of the model
        (missing where the run is none of the study's), ``data`` and ``fingerprint`` name the images, metrics without a
        prefix are those of the test split, ``path`` is relative to ``root``. Runs on different images are not
        comparable: group by ``fingerprint``. Unfinished, damaged and altered runs are left out; ``cxr-report`` lists
        them with the reason.

    Raises:
        UserError: there is no such folder, or no run in it.
    """
    sizes, _ = read_runs(Path(root), load_study(), Reporter())
    tables = [sized.table for sized in sizes]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(RUN_COLUMNS))


def comparison_table(root: Path | str = "outputs", figure: int | None = None) -> pd.DataFrame:
    """Compare the runs below a folder with the test metrics that the study publishes in a figure.

    Args:
        root: folder that holds runs on one data set, at one or several image sizes.
        figure: number of the figure; the first that holds test metrics by default.

    Returns:
        One row a model and metric, as
        :func:`cxr_runner.report.compare.published_metrics.compare_with_published` describes it.

    Raises:
        UserError: there is no such figure or no finished run, or runs are on several data sets.
    """
    study = load_study()
    figures = {one.number: one for one in study.metric_figures}
    number = next(iter(figures)) if figure is None else figure
    if number not in figures:
        valid = " and ".join(map(str, figures))
        raise UserError.for_key("figure", number, f"{valid} hold the published test metrics")
    return compare_with_published(_only_data_set(Path(root), study).repetitions, figures[number], study)


def study_figure(root: Path | str = "outputs", number: int | None = None) -> "Figure":
    """Draw a figure of the study from the runs below a folder.

    Args:
        root: folder that holds runs on one data set, at one or several image sizes.
        number: number of the figure in the study; the first with curves by default.

    Returns:
        A matplotlib figure; a notebook shows it, pyplot imported or not.

    Raises:
        UserError: there is no such figure, or runs are missing; the message says which command makes them.
    """
    study = load_study()
    runs = _only_data_set(Path(root), study)
    (runs,) = add_histories([runs], Reporter())
    runs = replace(runs, samples=tuple(collect_samples(runs)))
    pictures = {picture.name: picture for picture in study_pictures(runs)}
    numbers = {figure.number: figure for figure in study.figures if figure.name in pictures}
    if number is None:
        number = next(figure.number for figure in study.figures if figure.kind == "curves")
    if number not in numbers:
        raise UserError.for_key("number", number, f"valid are {', '.join(map(str, numbers))}")
    picture = pictures[numbers[number].name]
    if picture.draw is None:
        command = Commands(runs, training_setups(runs)).that_make(picture.missing).replace("\n", "; ")
        raise UserError.for_key("number", number, f"no runs to draw it from; make them with {command}")
    from cxr_runner.plots.notebook import make_shown

    return make_shown(picture.draw())


def _only_data_set(root: Path, study: Study) -> DataSetRuns:
    data_sets, _ = collect_runs(root, study, Reporter())
    if len(data_sets) != 1:
        present = "; ".join(runs.heading for runs in data_sets) or "no finished run"
        raise UserError.for_key("root", root, f"runs on one data set are needed, here are: {present}")
    return data_sets[0]

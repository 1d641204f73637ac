"""What notebooks and scripts call: train as ``cxr-run`` does, and read, compare and draw what was trained."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from cxr_runner.base.errors import UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.inference.load import load
from cxr_runner.report.brief_comparison import ComparedRuns, compare_below
from cxr_runner.report.collect.histories import add_histories
from cxr_runner.report.collect.run_table import read_runs
from cxr_runner.report.collect.tree import collect_runs, collect_samples
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.compare.published_metrics import compare_with_published
from cxr_runner.report.compare.training_setups import training_setups
from cxr_runner.report.compare.uncertainty.resampling import RESAMPLED_METRICS
from cxr_runner.report.render.commands import Commands
from cxr_runner.report.render.comparison_pictures import forest_picture
from cxr_runner.report.render.comparison_tables import comparison_table as configurations_table
from cxr_runner.report.render.configuration_figures import configuration_pictures
from cxr_runner.report.render.study_figures import study_pictures
from cxr_runner.report.report_options import ReportOptions
from cxr_runner.report.run_columns import RUN_COLUMNS
from cxr_runner.study import Study, load_study

__all__ = ["compare", "comparison_table", "curves", "forest", "load", "load_runs", "run", "study_figure"]

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

    Example:
        >>> import cxr_runner
        >>> tiny = {"data.num_images": 120, "data.image_size": 32, "optimizer.lr": 0.01, "progress": "none"}
        >>> for model in ("linear", "linear_relu"):
        ...     folder = cxr_runner.run(tiny, model=model, seeds=2, epochs=3)
        >>> sorted(path.name for path in folder.glob("seed=*"))
        ['seed=0', 'seed=1']
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

    Example:
        >>> runs = cxr_runner.load_runs("outputs")
        >>> runs.groupby("model")["seed"].count().to_dict()
        {'linear': 2, 'linear_relu': 2}
    """
    sizes, _ = read_runs(Path(root), load_study(), Reporter())
    tables = [sized.table for sized in sizes]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(RUN_COLUMNS))


def compare(
    root: Path | str = "outputs", *, baseline: str | None = None, metric: str = "accuracy", select: Sequence[str] = ()
) -> pd.DataFrame:
    """Compare the configurations below a folder, each the mean of its runs: the table that ``cxr-report`` opens with.

    Args:
        root: outputs tree, a folder of one, or one run directory.
        baseline: label, name or id of the configuration that the others are compared with; by default the one with the
            fewest settings changed.
        metric: what to sort the columns by: ``accuracy``, ``f1`` or ``auroc``; all three are there.
        select: only runs with these settings of ``cxr-run``, e.g. ``["model=cnn,linear"]``; all must hold.

    Returns:
        One row a configuration and size of the images; the reference first. ``configuration`` is its label, ``name``
        that of its folder, ``data`` the title of the images. ``num_runs``, ``num_splits``, ``num_seeds``; of the runs
        ``num_collapsed``, ``num_all_positive`` and ``num_all_negative``. Of every metric on the test split the mean
        (``accuracy``), that without collapsed runs (``accuracy_not_collapsed``), the 95 % interval (``accuracy_low``,
        ``accuracy_high``, cut off at 0 and 1; nan for a single run), the difference to the reference
        (``accuracy_difference``, ``..._low``, ``..._high``), its p value (``..._p``), and that after Holm's correction
        (``accuracy_difference_holm``).

    Raises:
        UserError: there is no such folder, run, setting, configuration or metric.

    Example:
        >>> table = cxr_runner.compare("outputs", baseline="linear")
        >>> table[["configuration", "is_reference", "num_runs"]]
           configuration  is_reference  num_runs
        0         linear          True         2
        1  linear + ReLU         False         2
    """
    chosen = _compare_all(root, baseline, metric, select)
    tables = (configurations_table(one.compared).data.assign(data=one.runs.about.title) for one in chosen)
    table = pd.concat(tables, ignore_index=True)
    first = [key for key in table.columns if key.split("_")[0] not in RESAMPLED_METRICS]
    behind = sorted((key for key in table.columns if key not in first), key=lambda key: not key.startswith(metric))
    return table[[*first, *behind]]


def forest(
    root: Path | str = "outputs", *, baseline: str | None = None, metric: str = "accuracy", select: Sequence[str] = ()
) -> "Figure":
    """Draw how the configurations below a folder compare: means with 95 % intervals, and differences to the reference.

    Args:
        root: folder that holds runs on one data set, at one size.
        baseline: as of :func:`compare`.
        metric: ``accuracy``, ``f1`` or ``auroc``.
        select: as of :func:`compare`.

    Returns:
        A matplotlib figure; a notebook shows it, pyplot imported or not.

    Raises:
        UserError: as of :func:`compare`; or runs are on several data sets or sizes.

    Example:
        >>> cxr_runner.forest("outputs", metric="auroc").savefig("forest.png")
    """
    chosen = _compare_all(root, baseline, metric, select)
    if len(chosen) > 1:
        present = "; ".join(f"{one.runs.heading}, {one.compared.image_size} px" for one in chosen)
        raise UserError.for_key("root", root, f"runs on one data set at one size are needed, here are: {present}")
    picture = forest_picture(chosen[0].compared, chosen[0].runs.heading, chosen[0].baselines)
    assert picture.draw is not None
    return _shown(picture.draw())


def curves(root: Path | str = "outputs", *, select: Sequence[str] = ()) -> "Figure":
    """Draw loss and accuracy by epoch of all configurations below a folder: means and ranges over their runs.

    Args:
        root: folder that holds runs on one data set, at one or several image sizes.
        select: as of :func:`compare`.

    Returns:
        A matplotlib figure; a notebook shows it, pyplot imported or not.

    Raises:
        UserError: there is no such folder, run or setting; runs are on several data sets, or have no histories.

    Example:
        >>> cxr_runner.curves("outputs", select=["model=linear"]).savefig("curves.png")
    """
    chosen = _compare_all(root, None, RESAMPLED_METRICS[0], select)
    runs = chosen[0].runs
    if any(one.runs is not runs for one in chosen):
        raise _several(root, list({id(one.runs): one.runs for one in chosen}.values()))
    drawn = configuration_pictures(runs, [one.compared for one in chosen], whole=True)
    if not drawn or drawn[0].draw is None:
        raise UserError.for_key("root", root, "no run here has a history that can be drawn")
    return _shown(drawn[0].draw())


def comparison_table(root: Path | str = "outputs", figure: int | None = None, study: str = "copetti") -> pd.DataFrame:
    """Compare the runs below a folder with the test metrics that a study publishes in a figure.

    Args:
        root: folder that holds runs on one data set, at one or several image sizes.
        figure: number of the figure; the first that holds test metrics by default.
        study: name or file of the study.

    Returns:
        One row a model and metric, as
        :func:`cxr_runner.report.compare.published_metrics.compare_with_published` describes it.

    Raises:
        UserError: there is no such study, figure or finished run, or runs are on several data sets.

    Example:
        >>> table = cxr_runner.comparison_table("outputs")
        >>> table.query("metric == 'f1'")["published"].max().item()
        0.95
    """
    chosen = load_study(study)
    figures = {one.number: one for one in chosen.metric_figures}
    number = next(iter(figures), None) if figure is None else figure
    if number is None:
        raise UserError.for_key("study", study, "nothing was published of it")
    if number not in figures:
        valid = " and ".join(map(str, figures))
        raise UserError.for_key("figure", number, f"{valid} hold the published test metrics")
    return compare_with_published(_only_data_set(Path(root), chosen).repetitions, figures[number], chosen)


def study_figure(root: Path | str = "outputs", number: int | None = None, study: str = "copetti") -> "Figure":
    """Draw a figure of a study from the runs below a folder.

    Args:
        root: folder that holds runs on one data set, at one or several image sizes.
        number: number of the figure in the study; by default the first that has runs, one with curves before others.
        study: name or file of the study.

    Returns:
        A matplotlib figure; a notebook shows it, pyplot imported or not.

    Raises:
        UserError: there is no such study or figure, or runs are missing; the message says which command makes them.

    Example:
        >>> cxr_runner.study_figure("outputs").savefig("curves.png")
    """
    chosen = load_study(study)
    runs = _only_data_set(Path(root), chosen)
    (runs,) = add_histories([runs], Reporter())
    runs = replace(runs, samples=tuple(collect_samples(runs)))
    pictures = {picture.name: picture for picture in study_pictures(runs)}
    numbers = {figure.number: figure for figure in chosen.figures if figure.name in pictures}
    if number is None:
        order = {one: (pictures[figure.name].draw is None, figure.kind != "curves") for one, figure in numbers.items()}
        number = min(order, key=lambda one: order[one], default=0)
    if number not in numbers:
        raise UserError.for_key("number", number, f"valid are {', '.join(map(str, numbers)) or 'none'}")
    picture = pictures[numbers[number].name]
    if picture.draw is None:
        command = Commands(runs, training_setups(runs)).that_make(picture.missing).replace("\n", "; ")
        raise UserError.for_key("number", number, f"no runs to draw it from; make them with {command}")
    return _shown(picture.draw())


def _compare_all(root: Path | str, baseline: str | None, metric: str, select: Sequence[str]) -> list[ComparedRuns]:
    """Compare the configurations below a folder, at least one; the errors are those of :func:`compare`."""
    if metric not in RESAMPLED_METRICS:
        raise UserError.for_key("metric", metric, f"valid are {', '.join(RESAMPLED_METRICS)}")
    selected = (select,) if isinstance(select, str) else tuple(select)
    with _without_dashes():
        chosen = compare_below(Path(root), load_study(), ReportOptions(baseline, metric, selected))
    if not chosen:
        raise UserError.for_key("root", root, "no finished run; cxr-report lists those here with the reason")
    return chosen


@contextmanager
def _without_dashes() -> Iterator[None]:
    """Name what is wrong as an argument is written in Python: ``baseline``, not ``--baseline``."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).removeprefix("--")) from None


def _shown(figure: "Figure") -> "Figure":
    from cxr_runner.plots.notebook import make_shown

    return make_shown(figure)


def _only_data_set(root: Path, study: Study) -> DataSetRuns:
    data_sets, _ = collect_runs(root, study, Reporter())
    if len(data_sets) != 1:
        raise _several(root, data_sets)
    return data_sets[0]


def _several(root: Path | str, data_sets: Sequence[DataSetRuns]) -> UserError:
    present = "; ".join(runs.heading for runs in data_sets) or "no finished run"
    return UserError.for_key("root", root, f"runs on one data set are needed, here are: {present}")

"""The study's figures made anew from the runs on a data set, and what is missing of those that cannot be drawn yet."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from cxr_runner.base.numbers import format_duration, format_number, plural
from cxr_runner.report.class_counts import class_counts
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.compare.training_setups import timed_runs
from cxr_runner.report.missing import PIXELS, Missing
from cxr_runner.report.render.history_curves import describe_histories, plot_histories
from cxr_runner.report.render.picture import Picture
from cxr_runner.study import FAMILIES, ComparedMetric, Row, StudyFigure

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure

_LOSSES_APART = "A loss with class weight has another scale: compare its shape, not its height, with one without."


def study_pictures(runs: DataSetRuns) -> list[Picture]:
    """Return the study's figures in the order of their numbers, but for listings of code and tables of metrics."""
    drawers: dict[str, Callable[[StudyFigure, DataSetRuns], Picture]] = {
        "balance": _balance,
        "curves": _curves,
        "confusion": _confusion,
        "bars": _bars,
        "duration": _durations,
    }
    return [
        (_samples if figure.samples else drawers[figure.kind])(figure, runs)
        for figure in runs.study.figures
        if figure.samples or figure.kind in drawers
    ]


def _samples(figure: StudyFigure, runs: DataSetRuns) -> Picture:
    view = figure.samples
    assert view is not None
    if runs.withheld.images:
        return _picture(figure, view.text, notes=["The images were left out of this report on request (--no-images)."])
    samples = list(runs.samples)[: view.most]
    if not samples:
        note = "There are no samples of these images beside the runs; the next run on them leaves some."
        return _picture(figure, view.text, notes=[note], missing=[Missing((runs.study.rows[0].id,), seeds=1)])

    def draw() -> "Figure":
        from cxr_runner.plots.study_plots import plot_samples

        return plot_samples(samples, view.prepared)

    alt = f"Chest pictures of the classes {', '.join(dict.fromkeys(sample.label for sample in samples))}."
    return replace(_picture(figure, view.text, alt, draw=draw), look="photo")


def _balance(figure: StudyFigure, runs: DataSetRuns) -> Picture:
    counts = class_counts(runs.facts)
    text = f"Images of each class in each split.{_read(figure, ', on its training split')}"
    if not counts:
        return _picture(figure, text, notes=["data.json of these runs does not count their classes."])

    def draw() -> "Figure":
        from cxr_runner.plots.study_plots import plot_balance

        return plot_balance(counts)

    alt = "; ".join(
        f"{split}: " + ", ".join(f"{n:,} {name}" for name, n in classes.items()) for split, classes in counts.items()
    )
    return _picture(figure, text, alt, draw=draw)


def _curves(figure: StudyFigure, runs: DataSetRuns) -> Picture:
    rows = [runs.study.row(row_id) for row_id in figure.rows]
    histories = {row_id: runs.histories(table) for row_id, table in runs.tables(figure.rows).items()}
    drawn = [row for row in rows if any(histories.get(row.id, ()))]
    sizes = runs.size_notes(row.id for row in drawn)
    names = {row.id: _name(row, figure) + sizes[row.id] for row in drawn}
    groups = {names[row.id]: histories[row.id] for row in drawn}
    looks = None
    if figure.varies == "family and weighted":
        families = list(dict.fromkeys([*FAMILIES, *(row.family for row in drawn)]))
        looks = {names[row.id]: (families.index(row.family), row.weighted) for row in drawn}

    def draw() -> "Figure":
        return plot_histories(groups, _titled(figure, runs), looks)

    text = f"Loss and accuracy by epoch, train and val.{_read(figure)}"
    notes = [_LOSSES_APART] if len({row.weighted for row in drawn}) > 1 else []
    return _of_rows(figure, runs, text, describe_histories(groups), draw, {row.id for row in drawn}, notes)


def _confusion(figure: StudyFigure, runs: DataSetRuns) -> Picture:
    published = runs.study.confusion
    row = runs.study.row(published.row if published else figure.rows[0])
    text = f"Test images by true and predicted class of model {row.id}: {row.title}."
    if published:
        text += (
            f" Published: {published.tp} true and {published.fp} false positives, "
            f"{published.tn} true and {published.fn} false negatives."
        )
    repetition = runs.repetitions.get(row.id)
    counts = class_counts(runs.facts).get("test", {})
    positive = str(runs.facts.get("positive_class", "positive"))
    negative = next((name for name in counts if name != positive), "negative")
    table = repetition.not_collapsed if repetition else pd.DataFrame()
    means = table[["tp", "fp", "fn", "tn"]].mean().round(1).to_dict() if len(table) else {}

    def draw() -> "Figure":
        from cxr_runner.plots.confusion import plot_confusion

        whole = {str(key): int(value) if value == int(value) else value for key, value in means.items()}
        title = f"{figure.caption}, model {row.id}: {row.title} — {runs.heading}"
        return plot_confusion(whole, (negative, positive), title, published.counts if published else None)

    alt = ", ".join(f"{key} {value:g}" for key, value in means.items())
    notes = [f"Mean counts of {plural(len(table), 'seed')}."] if len(table) else []
    return _of_rows(figure, runs, text, alt, draw, {row.id} if len(table) else set(), notes)


def _bars(figure: StudyFigure, runs: DataSetRuns) -> Picture:
    rows = [runs.study.row(row_id) for row_id in figure.rows]
    tables = runs.tables(figure.rows, collapsed=False)
    metrics = [runs.study.accuracy, next((one for one in runs.study.metrics if one.key == "f1"), ComparedMetric("f1"))]
    named = {metrics[0].key: "accuracy", metrics[1].key: metrics[1].label}

    def draw() -> "Figure":
        from cxr_runner.plots.study_plots import plot_bars

        return plot_bars(rows, metrics, tables, _titled(figure, runs), runs.size_notes(tables))

    text = f"Bars: means over the seeds that did not collapse; the axis does not begin at 0.{_read(figure)}"
    alt = "; ".join(
        f"model {row_id}: "
        + ", ".join(f"{words} {format_number(table[key].mean()) or 'not known'}" for key, words in named.items())
        for row_id, table in tables.items()
    )
    return _of_rows(figure, runs, text, alt, draw, set(tables))


def _durations(figure: StudyFigure, runs: DataSetRuns) -> Picture:
    rows = [runs.study.row(row_id) for row_id in figure.rows]
    tables, sizes = runs.tables(figure.rows), runs.size_notes(figure.rows)
    timed_rows = timed_runs([sized.runs for sized in runs.sizes], figure.rows)
    comparable = {row_id: timed for row_id, timed in timed_rows.items() if timed}
    if comparable.keys() == tables.keys():
        tables, sizes = {row_id: runs.table(timed) for row_id, timed in comparable.items()}, dict.fromkeys(tables, "")

    def draw() -> "Figure":
        from cxr_runner.plots.study_plots import plot_durations

        return plot_durations(rows, tables, _titled(figure, runs), sizes)

    text = f"Time in the training loop of one run.{_read(figure)}"
    alt = "; ".join(
        f"model {row_id}: {format_duration(table['train_seconds'].mean())}" for row_id, table in tables.items()
    )
    devices = sorted({f"{e} on {d}" for t in tables.values() for e, d in zip(t["engine"], t["device"], strict=True)})
    notes = [f"Engine and device: {', '.join(devices)}."] if devices else []
    untimed = tuple(row_id for row_id in tables if row_id not in comparable)
    if len(devices) > 1 or len(set(sizes.values())) > 1:
        notes.append("Not comparable: the study trains on pixels, all models on images of one size and on one device.")
    picture = _of_rows(figure, runs, text, alt, draw, set(tables), notes)
    timing = (Missing(untimed, overrides=(PIXELS,)),) if untimed else ()
    return replace(picture, missing=(*picture.missing, *timing))


def _of_rows(
    figure: StudyFigure,
    runs: DataSetRuns,
    text: str,
    alt: str,
    draw: "Callable[[], Figure]",
    drawn: set[str],
    notes: Sequence[str] = (),
) -> Picture:
    """Return a picture of rows of the study, with what is missing and what has collapsed."""
    lacking = tuple(row_id for row_id in figure.rows if row_id not in drawn | runs.repetitions.keys())
    said = list(notes)
    for row_id in figure.rows:
        repetition = runs.repetitions.get(row_id)
        if repetition and repetition.num_collapsed:
            number = f"{repetition.num_collapsed} of {plural(len(repetition.runs), 'run')}"
            said.append(f"Collapsed (one output for all images): {number} of model {row_id}.")
    if lacking:
        said.append(f"Without runs yet: model{'s' * (len(lacking) > 1)} {', '.join(lacking)}.")
    missing = [Missing(lacking)] if lacking else []
    return _picture(figure, text, alt, said, missing, draw if drawn else None)


def _picture(
    figure: StudyFigure,
    text: str,
    alt: str = "",
    notes: Sequence[str] = (),
    missing: Sequence[Missing] = (),
    draw: "Callable[[], Figure] | None" = None,
) -> Picture:
    title = f"Fig. {figure.number}: {figure.caption}"
    return Picture(figure.name, title, text, alt, tuple(notes), tuple(missing), draw)


def _name(row: Row, figure: StudyFigure) -> str:
    """Return how a row is called beside the others of a figure."""
    unit = "filters" if row.family == "cnn" else "units"
    weight = "with class weight" if row.weighted else "no class weight"
    what = {
        "layers": f"{row.layers} layers",
        "hidden": f"{row.hidden} {unit}",
        "kernel_size": f"{row.kernel_size}x{row.kernel_size} filters",
        "weighted": weight,
        "optimizer": f"{row.optimizer.upper() if row.optimizer == 'sgd' else row.optimizer.title()}, {weight}",
        "family and weighted": f"{FAMILIES.get(row.family, row.family)}{', weighted' * row.weighted}",
        "lr": f"learning rate {row.lr:g}",
    }
    return f"{row.id}: {what.get(figure.varies, row.title)}"


def _read(figure: StudyFigure, where: str = "") -> str:
    """Say what the study reads from a figure; '' where it does not say."""
    return f" The study{where}: {figure.shows}" if figure.shows else ""


def _titled(figure: StudyFigure, runs: DataSetRuns) -> str:
    return f"{figure.caption} — {runs.heading}"

"""The study's figures made anew from the runs of a cohort, and what to run for those that cannot be drawn yet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import pandas as pd

from cxr_runner.base.numbers import clock, plural
from cxr_runner.report.runs.collected import Material, Seeds
from cxr_runner.report.runs.commands import PIXELS
from cxr_runner.report.runs.configurations import by_configuration
from cxr_runner.report.runs.groups import timed_runs
from cxr_runner.study import FAMILIES, Row, StudyFigure, load_study

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure
from cxr_runner.report.runs.groups import class_counts

_SAMPLE_FIGURES = {
    1: ("One entry of the data set: its image, class and name.", False, 1),
    2: ("Images as their source gives them, in their own proportions.", False, None),
    4: ("The same images as the models see them: grey, stretched to a square, scaled to 0-1.", True, None),
}
_LOSSES_APART = "A loss with class weight has a scale of its own: compare its shape, not its height, with one without."


@dataclass(frozen=True)
class Picture:
    """One figure of the report.

    Attributes:
        name: of its files, without ending, e.g. ``fig09``.
        title: with the study's number.
        text: what it shows, and what the study reads from its own.
        alt: what a person who cannot see it should know.
        notes: what has to be said of the runs behind it.
        command: what makes the runs that are missing, '' where none is.
        draw: draws it; None where nothing can be drawn yet.
        look: its class on the page: ``photo`` keeps its colours in the dark, ``narrow`` fits a narrow screen.
    """

    name: str
    title: str
    text: str
    alt: str = ""
    notes: tuple[str, ...] = ()
    command: str = ""
    draw: "Callable[[], Figure] | None" = None
    look: Literal["", "photo", "narrow"] = ""


def study_pictures(material: Material) -> list[Picture]:
    """Return the study's figures in the order of their numbers, but for listings of code and tables of metrics."""
    drawers: dict[str, Callable[[StudyFigure, Material], Picture]] = {
        "sample": _samples,
        "balance": _balance,
        "curves": _curves,
        "confusion": _confusion,
        "bars": _bars,
        "duration": _durations,
    }
    figures = load_study().figures
    return [
        _samples(figure, material) if figure.number in _SAMPLE_FIGURES else drawers[figure.kind](figure, material)
        for figure in figures
        if figure.number in _SAMPLE_FIGURES or figure.kind in drawers
    ]


def other_curves(material: Material) -> Picture | None:
    """Return the curves of the configurations that are none of the study's; None where there are none."""
    groups: dict[str, Seeds] = {}
    several = len(material.cohort.data_sets) > 1
    for data_set in material.cohort.data_sets:
        others = data_set.table[data_set.table["row"].isna()]
        for name, runs in by_configuration(data_set).items():
            seeds = material.seeds(others[others["path"].isin([path for path, _ in runs])])
            if any(seeds):
                groups[f"{name}, {data_set.image_size} px" if several else name] = seeds
    if not groups:
        return None

    def draw() -> "Figure":
        return _plot_curves(groups, material.cohort.heading)

    text = "Loss and accuracy by epoch of the configurations that are none of the study's models."
    return Picture("curves", "Further configurations", text, _alt(groups), draw=draw)


def _samples(figure: StudyFigure, material: Material) -> Picture:
    text, prepared, count = _SAMPLE_FIGURES[figure.number]
    samples = list(material.samples)[:count]
    if not samples:
        note = "There are no samples of these images beside the runs; the next run on them leaves some."
        return _picture(figure, text, notes=[note], command=material.cohort.command(["0"], seeds=1))

    def draw() -> "Figure":
        from cxr_runner.plots.study import plot_samples

        return plot_samples(samples, prepared)

    alt = f"Chest pictures of the classes {', '.join(dict.fromkeys(sample.label for sample in samples))}."
    return replace(_picture(figure, text, alt, draw=draw), look="photo")


def _balance(figure: StudyFigure, material: Material) -> Picture:
    counts = class_counts(material.cohort.facts)
    text = f"Images of each class in each split. The study, on its training split: {figure.shows}"
    if not counts:
        return _picture(figure, text, notes=["data.json of these runs does not count their classes."])

    def draw() -> "Figure":
        from cxr_runner.plots.study import plot_balance

        return plot_balance(counts)

    parts = [f"{split}: " + ", ".join(f"{n:,} {name}" for name, n in found.items()) for split, found in counts.items()]
    return _picture(figure, text, "; ".join(parts), draw=draw)


def _curves(figure: StudyFigure, material: Material) -> Picture:
    rows = [load_study().row(row_id) for row_id in figure.rows]
    seeds = {row_id: material.seeds(table) for row_id, table in material.tables(figure.rows).items()}
    drawn = [row for row in rows if any(seeds.get(row.id, ()))]
    sizes = material.sizes(row.id for row in drawn)
    names = {row.id: _name(row, figure) + sizes[row.id] for row in drawn}
    groups = {names[row.id]: seeds[row.id] for row in drawn}
    looks = None
    if figure.varies == "family and weighted":
        looks = {names[row.id]: (list(FAMILIES).index(row.family), row.weighted) for row in drawn}

    def draw() -> "Figure":
        return _plot_curves(groups, _titled(figure, material), looks)

    text = f"Loss and accuracy by epoch, train and val. The study: {figure.shows}"
    notes = [_LOSSES_APART] if len({row.weighted for row in drawn}) > 1 else []
    return _of_rows(figure, material, text, _alt(groups), draw, {row.id for row in drawn}, notes)


def _plot_curves(
    groups: Mapping[str, Seeds], title: str, looks: Mapping[str, tuple[int, bool]] | None = None
) -> "Figure":
    from cxr_runner.plots.curves import plot_comparison

    alive = {name: seeds.alive for name, seeds in groups.items()}
    return plot_comparison(alive, title, looks, {name: seeds.collapsed for name, seeds in groups.items()})


def _confusion(figure: StudyFigure, material: Material) -> Picture:
    published = load_study().confusion
    row = load_study().row(published.row)
    text = (
        f"Test images by true and predicted class of model {row.id}: {row.title}. "
        f"Published: {published.tp} true and {published.fp} false positives, "
        f"{published.tn} true and {published.fn} false negatives."
    )
    repetition = material.cohort.repetitions.get(published.row)
    counts = class_counts(material.cohort.facts).get("test", {})
    positive = str(material.cohort.facts.get("positive_class", "positive"))
    negative = next((name for name in counts if name != positive), "negative")
    alive = repetition.alive if repetition else pd.DataFrame()
    means = alive[["tp", "fp", "fn", "tn"]].mean().round(1).to_dict() if len(alive) else {}

    def draw() -> "Figure":
        from cxr_runner.plots.confusion import plot_confusion

        whole = {str(key): int(value) if value == int(value) else value for key, value in means.items()}
        title = f"{figure.caption}, model {row.id}: {row.title} — {material.cohort.heading}"
        return plot_confusion(whole, (negative, positive), title, published.counts)

    alt = ", ".join(f"{key} {value:g}" for key, value in means.items())
    notes = [f"Mean counts of {plural(len(alive), 'seed')}."] if len(alive) else []
    return _of_rows(figure, material, text, alt, draw, {published.row} if len(alive) else set(), notes)


def _bars(figure: StudyFigure, material: Material) -> Picture:
    rows = [load_study().row(row_id) for row_id in figure.rows]
    tables = material.tables(figure.rows, alive=True)

    def draw() -> "Figure":
        from cxr_runner.plots.study import plot_bars

        return plot_bars(rows, tables, _titled(figure, material), material.sizes(tables))

    text = f"Bars: means over the seeds that live; the axis does not begin at 0. The study: {figure.shows}"
    alt = "; ".join(
        f"model {row_id}: accuracy {table['accuracy_batch_mean'].mean():.3f}, F1 {table['f1'].mean():.3f}"
        for row_id, table in tables.items()
    )
    return _of_rows(figure, material, text, alt, draw, set(tables))


def _durations(figure: StudyFigure, material: Material) -> Picture:
    rows = [load_study().row(row_id) for row_id in figure.rows]
    tables, sizes = material.tables(figure.rows), material.sizes(figure.rows)
    comparable = {row_id: runs for row_id, runs in timed_runs(material.cohort, figure.rows).items() if runs}
    if comparable.keys() == tables.keys():
        tables, sizes = {row_id: material.table(runs) for row_id, runs in comparable.items()}, dict.fromkeys(tables, "")

    def draw() -> "Figure":
        from cxr_runner.plots.study import plot_durations

        return plot_durations(rows, tables, _titled(figure, material), sizes)

    text = f"Time in the training loop of one run. The study: {figure.shows}"
    alt = "; ".join(f"model {row_id}: {clock(table['train_seconds'].mean())}" for row_id, table in tables.items())
    ways = sorted({f"{e} on {d}" for t in tables.values() for e, d in zip(t["engine"], t["device"], strict=True)})
    notes = [f"Engine and device: {', '.join(ways)}."] if ways else []
    left = [row_id for row_id in tables if row_id not in comparable]
    if len(ways) > 1 or len(set(sizes.values())) > 1:
        notes.append("Not comparable: the study trains on pixels, all models on images of one size and on one device.")
    picture = _of_rows(figure, material, text, alt, draw, set(tables), notes)
    timing = material.cohort.command(left, overrides=(PIXELS,)) if left else ""
    return replace(picture, command="\n".join(filter(None, [picture.command, timing])))


def _of_rows(
    figure: StudyFigure,
    material: Material,
    text: str,
    alt: str,
    draw: "Callable[[], Figure]",
    drawn: set[str],
    notes: Sequence[str] = (),
) -> Picture:
    """Return a picture of rows of the study, with what is missing and what has collapsed."""
    missing = [row_id for row_id in figure.rows if row_id not in drawn | material.cohort.repetitions.keys()]
    said = list(notes)
    for row_id in figure.rows:
        repetition = material.cohort.repetitions.get(row_id)
        if repetition and repetition.num_collapsed:
            number = f"{repetition.num_collapsed} of {plural(len(repetition.runs), 'run')}"
            said.append(f"Collapsed (one output for all images): {number} of model {row_id}.")
    if missing:
        said.append(f"Without runs yet: model{'s' * (len(missing) > 1)} {', '.join(missing)}.")
    command = material.cohort.command(missing) if missing else ""
    return _picture(figure, text, alt, said, command, draw if drawn else None)


def _picture(
    figure: StudyFigure,
    text: str,
    alt: str = "",
    notes: Sequence[str] = (),
    command: str = "",
    draw: "Callable[[], Figure] | None" = None,
) -> Picture:
    title = f"Fig. {figure.number}: {figure.caption}"
    return Picture(f"fig{figure.number:02}", title, text, alt, tuple(notes), command, draw)


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
        "family and weighted": f"{FAMILIES[row.family]}{', weighted' * row.weighted}",
    }[figure.varies]
    return f"{row.id}: {what}"


def _titled(figure: StudyFigure, material: Material) -> str:
    return f"{figure.caption} — {material.cohort.heading}"


def _alt(groups: Mapping[str, Seeds]) -> str:
    ends = {name: [float(seed["val_accuracy"].iloc[-1]) for seed in seeds.alive] for name, seeds in groups.items()}
    said = [f"{name}: {sum(end) / len(end):.3f}" if end else f"{name}: all collapsed" for name, end in ends.items()]
    return "Validation accuracy at the end, mean over the seeds that live: " + "; ".join(said)

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from cxr_runner.plots.confusion import plot_confusion
from cxr_runner.plots.curves import MAX_GROUPS, plot_comparison, plot_curves
from cxr_runner.plots.intervals_plot import DrawnStanding, plot_standings
from cxr_runner.plots.operating import corner, plot_operating_curves
from cxr_runner.plots.reliability import plot_reliability
from cxr_runner.plots.style import save_figure
from cxr_runner.stats import CurveBand, reliability
from run_trees import history

COUNTS = {"tp": 400, "fp": 29, "fn": 11, "tn": 142}
NAMES = ("NORMAL", "PNEUMONIA")


def texts_inside(figure: Figure) -> bool:
    """Whether every text of a figure lies within it."""
    figure.draw_without_rendering()
    texts = [figure._suptitle, *(text for axes in figure.axes for text in (axes.title, axes.xaxis.label, *axes.texts))]
    boxes = [text.get_window_extent() for text in texts if text is not None and text.get_text()]
    width, height = figure.bbox.max
    return all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes)


def test_curves_show_the_four_columns_of_the_history() -> None:
    table = history(5)
    loss, accuracy = plot_curves(table, "a run").axes
    drawn = {(axes.get_ylabel(), line.get_label()): line for axes in (loss, accuracy) for line in axes.lines}
    assert set(drawn) == {("loss", "train"), ("loss", "val"), ("accuracy", "train"), ("accuracy", "val")}
    for (quantity, split), line in drawn.items():
        assert line.get_xdata().tolist() == [1, 2, 3, 4, 5]
        assert line.get_ydata().tolist() == table[f"{split}_{quantity}"].tolist()


def test_a_history_of_one_epoch_is_visible_and_its_only_tick_is_whole() -> None:
    figure = plot_curves(history(1), "a run")
    figure.draw_without_rendering()
    for axes in figure.axes:
        assert all(line.get_marker() == "o" for line in axes.lines)
        low, high = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]


def test_a_loss_that_explodes_gets_a_logarithmic_axis_and_infinities_a_gap(tmp_path: Path) -> None:
    table = history(4)
    table["train_loss"] = [0.5, 1e6, np.inf, np.nan]
    figure = plot_curves(table, "a run")
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "linear"]
    assert np.isnan(figure.axes[0].lines[0].get_ydata()[2])
    save_figure(figure, tmp_path / "curves.png")


def test_a_history_without_a_single_finite_loss_is_still_drawn(tmp_path: Path) -> None:
    save_figure(plot_curves(history(3).assign(train_loss=np.nan, val_loss=np.nan), "a run"), tmp_path / "curves.png")


def test_confusion_has_true_classes_in_rows_and_shares_of_the_row() -> None:
    (axes,) = plot_confusion(COUNTS, NAMES, "a run").axes
    shown = {(round(text.get_position()[0]), round(text.get_position()[1]), text.get_text()) for text in axes.texts}
    assert shown == {
        *{(0, 0, "142"), (0, 0, "83.0%"), (1, 0, "29"), (1, 0, "17.0%")},
        *{(0, 1, "11"), (0, 1, "2.7%"), (1, 1, "400"), (1, 1, "97.3%")},
    }
    assert axes.get_ylabel() == "true"
    assert [label.get_text() for label in axes.get_yticklabels()] == list(NAMES)
    assert [label.get_text() for label in axes.get_xticklabels()] == list(NAMES)


@pytest.mark.parametrize("share", [0, 25, 50, 60, 70, 75, 85, 100])
def test_numbers_stand_out_on_every_colour_of_a_cell(share: int) -> None:
    (axes,) = plot_confusion({"tp": share, "fn": 100 - share, "fp": 50, "tn": 50}, NAMES, "a run").axes
    image = axes.images[0]
    for text in axes.texts:
        column, row = (round(position) for position in text.get_position())
        cell = image.cmap(image.norm(image.get_array()[row, column]))
        lighter, darker = sorted((_luminance(cell), _luminance(matplotlib.colors.to_rgba(text.get_color()))))[::-1]
        assert (lighter + 0.05) / (darker + 0.05) > 4.5  # WCAG's bound


def test_published_counts_stand_below_ours() -> None:
    (axes,) = plot_confusion(COUNTS, NAMES, "a run", {key: 10 * value for key, value in COUNTS.items()}).axes
    below = [text.get_text().splitlines()[1] for text in axes.texts[1::2]]
    assert below == [f"published {10 * COUNTS[key]:,}" for key in ("tn", "fp", "fn", "tp")]


def test_a_class_without_images_has_no_shares() -> None:
    (axes,) = plot_confusion({"tp": 1, "fn": 2, "fp": 0, "tn": 0}, NAMES, "a run").axes
    assert [text.get_text() for text in axes.texts][:4] == ["0", "no image", "0", "no image"]


def test_comparison_draws_the_mean_and_the_range_over_the_seeds() -> None:
    figure = plot_comparison({"one": [history()], "two": [history(), history(val_loss=1.2)]}, "data")
    axes = next(axes for axes in figure.axes if axes.get_title() == "loss, val")
    np.testing.assert_allclose(axes.lines[1].get_ydata(), [0.9, 0.45, 0.3])
    (band,) = axes.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((0.2, 1.2))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one (1 run)", "two (2 runs)"]


def test_collapsed_seeds_are_lines_beside_the_mean_and_not_in_it() -> None:
    flat = history(val_loss=7.0)
    figure = plot_comparison({"some": [history()], "none": []}, "data", collapsed={"some": [flat], "none": [flat]})
    axes = next(axes for axes in figure.axes if axes.get_title() == "loss, val")
    solid = [line for line in axes.lines if line.get_linestyle() == "-"]
    dotted = [line for line in axes.lines if line.get_linestyle() == ":" and len(line.get_xdata())]
    np.testing.assert_allclose([line.get_ydata() for line in solid], [history()["val_loss"]])
    np.testing.assert_allclose([line.get_ydata() for line in dotted], [flat["val_loss"]] * 2)
    legend = figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == [
        "some (1 of 2 runs collapsed)",
        "none (1 of 1 runs collapsed)",
    ]
    assert legend.get_title().get_text() == "dotted: a collapsed run"


def test_a_seed_that_stopped_early_counts_in_the_epochs_it_reached() -> None:
    figure = plot_comparison({"two": [history(2, val_loss=1.2), history(3)]}, "data")
    axes = next(axes for axes in figure.axes if axes.get_title() == "loss, val")
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.9, 0.45, 0.2])


def test_every_group_has_its_own_look_and_those_beyond_are_left_out_aloud() -> None:
    figure = plot_comparison({f"run-{i}": [history(1)] for i in range(MAX_GROUPS + 1)}, "data")
    lines = figure.axes[0].lines
    assert len({(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines}) == MAX_GROUPS
    assert f"first {MAX_GROUPS} of {MAX_GROUPS + 1}" in figure._suptitle.get_text()


def test_names_are_shown_as_they_are_and_stay_inside(tmp_path: Path) -> None:
    name = r"$\frac{a$_<b>" + "x_" * 60 + "$\n\udc80 胸部"
    figures = [
        plot_curves(history(), name),
        plot_confusion(COUNTS, (name, name), name),
        plot_comparison({name: [history()], name + "2": [history(), history()]}, name),
    ]
    for number, figure in enumerate(figures):
        path = tmp_path / f"{number}.png"
        save_figure(figure, path)  # warnings are errors, and mathtext would raise
        assert figure._suptitle.get_text().startswith(r"$\frac{a$_<b>")
        assert path.stat().st_size > 5_000


@pytest.mark.parametrize("title", ["short", "a long title " * 20])
def test_texts_stay_inside_the_picture(title: str) -> None:
    assert texts_inside(plot_curves(history(), title))
    assert texts_inside(plot_confusion({key: 10**6 for key in COUNTS}, (title, title), title))
    assert texts_inside(plot_comparison({f"{title}{i}": [history()] for i in range(MAX_GROUPS)}, title))


def test_pictures_are_not_blank_and_the_same_every_time(tmp_path: Path) -> None:
    def draw() -> list[Figure]:
        groups = {"one": [history()], "two": [history(), history(val_loss=1.2)]}
        return [plot_curves(history(), "t"), plot_confusion(COUNTS, NAMES, "t"), plot_comparison(groups, "t")]

    for first, second in zip(draw(), draw(), strict=True):
        paths = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
        for figure, path in zip((first, first, second), paths, strict=True):
            save_figure(figure, path)
        assert len({path.read_bytes() for path in paths}) == 1
        with Image.open(paths[0]) as image:
            assert len(image.convert("L").getcolors(256) or ()) > 20
            assert "Software" not in image.info


def test_the_users_matplotlib_style_changes_nothing(tmp_path: Path) -> None:
    save_figure(plot_curves(history(), "t"), tmp_path / "plain.png")
    with matplotlib.rc_context({"text.usetex": True, "font.size": 30, "savefig.bbox": "tight"}):
        save_figure(plot_curves(history(), "t"), tmp_path / "styled.png")
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "styled.png").read_bytes()


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "curves.png"
    path.write_bytes(b"old")
    figure = plot_curves(history(), "t")

    def fail(*args: object, **options: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(figure, "draw", fail)
    with pytest.raises(OSError, match="disk full"):
        save_figure(figure, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def _luminance(color: tuple[float, ...]) -> float:
    """Relative luminance as in WCAG 2."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in color[:3]]
    return float(pd.Series(linear) @ [0.2126, 0.7152, 0.0722])


def standing(label: str, mean: float, **changes: object) -> DrawnStanding:
    values: dict[str, Any] = {"label": label, "mean": mean, "low": mean - 0.02, "high": mean + 0.02, "points": (mean,)}
    values |= {"difference": (mean - 0.93, mean - 0.95, mean - 0.91), "is_reference": False}
    return DrawnStanding(**values | changes)


def test_collapsed_runs_do_not_set_the_scale_and_are_named_at_its_end() -> None:
    lines = [standing("first", 0.93), standing("second", 0.95), standing("lost", 0.41, collapsed=True)]
    figure = plot_standings(lines, "accuracy", {"always": 0.6}, "t")
    means, differences = figure.axes
    assert 0.89 < means.get_xlim()[0] < 0.91
    assert differences.get_xlim()[0] > -0.05
    said = [text.get_text() for text in (*means.texts, *differences.texts)]
    assert "◂ 0.410, with collapsed runs" in said
    assert "◂ −0.520, with collapsed runs" in said
    assert "◂ always 0.600" in said
    below = plot_standings(lines[:1], "accuracy", {"always": 0.99}, "t")
    below.draw_without_rendering()  # warnings are errors: what lies far outside would leave no room
    assert [text.get_text() for text in below.axes[0].texts] == ["always 0.990 ▸"]
    near = [*lines[:2], standing("nearly", 0.905, collapsed=True, difference=(-0.03, -0.045, 0.01))]
    means, differences = plot_standings(near, "accuracy", {}, "t").axes
    assert means.get_xlim()[0] < 0.885
    assert differences.get_xlim()[0] < -0.045
    assert not means.texts
    pair = plot_standings([standing("one", 0.93, is_reference=True), near[-1]], "accuracy", {}, "t").axes[1]
    assert pair.get_xlim()[0] < -0.045  # nothing else differs from the reference
    alone = plot_standings([standing("lost", 0.41, collapsed=True)], "accuracy", {}, "t")
    assert alone.axes[0].get_xlim()[0] < 0.39


def test_long_labels_are_broken_into_lines_and_not_cut_off() -> None:
    label = "linear + ReLU, lr 1e-3, batch 64, weight 0.37, 3 layers"
    figure = plot_standings([standing(label, 0.93)], "accuracy", {}, "t")
    assert figure.axes[0].get_yticklabels()[0].get_text().replace("\n", " ") == label
    ways = {"as trained": reliability(np.linspace(0, 1, 50), np.arange(50) > 20)}
    title = plot_reliability({label: ways}, "t").axes[0].get_title()
    assert title.replace("\n", " ") == f"{label} pooled ECE {ways['as trained'].ece:.3f}"


def test_curves_near_a_corner_are_seen_from_near() -> None:
    grid = np.linspace(0, 1, 101)
    near, far = 1 - 0.02 * (1 - grid) ** 8, grid.copy()
    bands = [CurveBand(grid, mean, mean, mean) for mean in (near, far)]
    assert corner(bands[:1]) == 0.1
    assert corner(bands) == 1
    assert corner([CurveBand(grid, 1 - 0.1 * grid, far, far)], falling=True) == 0.4
    sides = [plot_operating_curves({"a": (one, one)}, "t").axes[0].get_xlim()[1] for one in bands]
    assert sides == pytest.approx([0.102, 1.02])

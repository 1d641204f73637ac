"""The answer that a report leads with, and the bounds of what it says."""

from pathlib import Path

import pandas as pd
import pytest

import cxr_runner
from cxr_runner import stats
from cxr_runner.base.progress import Reporter
from cxr_runner.report.collect.tree import collect
from cxr_runner.report.collected import ImageThumbnail
from cxr_runner.report.compare.comparison import compare
from cxr_runner.report.compare.sized_comparison import Comparison
from cxr_runner.report.render.verdict import verdict
from cxr_runner.report.report_options import ReportOptions
from cxr_runner.report.write import write_report
from cxr_runner.study import load_study
from split_trees import Maker, make_images, make_splits
from study_trees import write_study

pytestmark = pytest.mark.usefixtures("quick_pictures")

IMAGES = make_images(120)
SPLITS = make_splits(IMAGES, None)


def write(root: Path, lr: float, gain: float, seeds: int = 4, noise: float = 0.3) -> None:
    Maker(root, IMAGES, SPLITS, {"optimizer.lr": lr}, gain=gain, noise=noise, tag=int(1 / lr)).write(range(seeds))


def compared(root: Path, metric: str = "accuracy", baseline: str | None = "lr 0.1") -> Comparison:
    options = ReportOptions(baseline=baseline, metric=metric)
    return compare(collect(root, load_study(), Reporter()), options)[0].comparisons[0]


def test_what_is_told_apart_is_said_with_difference_interval_and_p(tmp_path: Path) -> None:
    write(tmp_path, 0.1, 0.2)
    write(tmp_path, 0.2, 3)
    one = compared(tmp_path)
    best = one.by_name[one.best]
    assert best.mean("val_accuracy") == max(each.mean("val_accuracy") for each in one.standings)
    difference = best.differences["accuracy"]
    assert verdict(one) == (
        f"Best on validation: lr 0.2 (mean accuracy {best.mean('val_accuracy'):.3f}). On the test split it is above "
        "the reference, lr 0.1 by more than splits, seeds and test images explain: "
        f"{difference.mean:+.3f} in accuracy (95 % interval {difference.low:+.3f} to {difference.high:+.3f}; "
        f"p {'< 0.001' if best.adjusted['accuracy'] < 0.001 else format(best.adjusted['accuracy'], '.3f')}, Holm)."
    )


def test_what_is_not_told_apart_comes_with_what_would_decide_it(tmp_path: Path) -> None:
    write(tmp_path, 0.1, 0.8)
    write(tmp_path, 0.2, 0.7)
    write(tmp_path, 0.3, 0.2)
    best = max(compared(tmp_path).standings, key=lambda each: each.mean("val_auroc")).label
    one = compared(tmp_path, "auroc", best)
    assert one.best_by == "auroc"
    assert one.by_name[one.best] is one.reference
    second = max(one.standings[1:], key=lambda each: each.mean("val_auroc"))
    said = verdict(one)
    assert said.startswith(f"Best on validation: {best}, the reference (mean AUROC ")
    assert f"the next on validation, {second.label}, is not told apart from it: " in said
    assert "What would decide it: " in said
    needed = second.needed["auroc"]["images"]
    assert needed is not None
    assert f"{needed.fewest:,} " in said


def test_what_validation_and_not_the_test_split_calls_best_is_called_best(tmp_path: Path) -> None:
    for lr in (0.1, 0.11, 0.12, 0.13, 0.15, 0.17, 0.2):
        write(tmp_path, lr, 0.5, seeds=1, noise=3)
    one = compared(tmp_path)
    by_test = max(one.standings, key=lambda each: each.mean("accuracy")).name
    by_val = max(one.standings, key=lambda each: each.mean("val_accuracy")).name
    assert by_test != by_val
    assert one.best == by_val
    assert verdict(one).startswith(f"Best on validation: {one.labels[by_val]}")


def test_a_single_configuration_and_single_runs_have_no_verdict(tmp_path: Path) -> None:
    write(tmp_path, 0.1, 1)
    alone = compare(collect(tmp_path, load_study(), Reporter()))[0].comparisons[0]
    assert verdict(alone).endswith("on the test split. There is none yet to compare it with.")
    write(tmp_path / "runs", 0.2, 1, seeds=1)
    one = compared(tmp_path)
    assert "not compared with" in verdict(one)
    assert "that takes two runs of each" in verdict(one)


def test_every_page_and_the_terminal_lead_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_study(tmp_path, seeds=range(2), rows=["20", "24"], names="patient{}.png")
    write_report(tmp_path, tmp_path / "report")
    said = verdict(compare(collect(tmp_path, load_study(), Reporter()))[0].comparisons[0])
    page = (tmp_path / "report" / "index.html").read_text("utf-8").replace("&#39;", "'")
    first, _, rest = page.partition(f'<p class="verdict-line">{said}</p>')
    assert rest
    assert "<table" not in first
    above, table, _ = (tmp_path / "report" / "report.md").read_text("utf-8").partition("\n| configuration")
    assert table
    assert "**Best on validation: " in above
    assert said in capsys.readouterr().out
    # What has been named in full in the table is called by its number behind it.
    assert "model 24 − model 20" in page or "model 20 − model 24" in page


def test_what_would_decide_it_is_said_of_every_metric(tmp_path: Path) -> None:
    write(tmp_path, 0.1, 0.8)
    write(tmp_path, 0.2, 0.7)
    write_report(tmp_path, tmp_path / "report", options=ReportOptions(baseline="lr 0.1"))
    table = pd.read_csv(tmp_path / "report" / "tables" / "sources.csv")
    (_, other) = compared(tmp_path).standings
    for entry in table[table["name"] == other.name].to_dict("records"):
        needed = other.needed[entry["metric"]]["images"]
        assert needed is not None
        assert [entry[f"images_{bound}"] for bound in ("fewest", "likely", "most")] == pytest.approx(
            [float("nan") if number is None else number for number in needed], nan_ok=True
        )


def test_no_interval_leaves_what_a_rate_or_a_difference_can_be(tmp_path: Path) -> None:
    write(tmp_path, 0.1, 5, seeds=2)
    write(tmp_path, 0.2, -5, seeds=2)
    write(tmp_path, 0.3, 0, seeds=2, noise=9)
    table = cxr_runner.compare(tmp_path)
    for metric in ("accuracy", "f1", "auroc"):
        assert table[f"{metric}_low"].min() >= 0
        assert table[f"{metric}_high"].max() <= 1
        assert table[f"{metric}_difference_low"].min() >= -1
        assert table[f"{metric}_difference_high"].max() <= 1


def test_a_bound_cuts_an_interval_off_and_changes_nothing_else() -> None:
    values = [0.97, 0.99]
    free = stats.mean_over_runs(values, [0, 0], [0, 1], 0.0, 0.0)
    bound = stats.mean_over_runs(values, [0, 0], [0, 1], 0.0, 0.0, bounds=(0.0, 1.0))
    assert free.high > 1
    assert bound.high == 1
    assert (bound.low, bound.p, bound.error, bound.half_width) == (free.low, free.p, free.error, free.half_width)
    assert bound.interval(0.99)[1] == 1
    assert bound.interval(0.5) == free.interval(0.5)


def test_images_that_no_run_gets_right_are_counted_by_class(tmp_path: Path) -> None:
    write(tmp_path, 0.1, 0.8)
    write(tmp_path, 0.2, 0.7)
    write_report(tmp_path, tmp_path / "report")
    wrong: dict[str, list[bool]] = {}
    for path in sorted(tmp_path.rglob("predictions.csv")):
        table = pd.read_csv(path).query("split == 'test'")
        for name, label, logit in zip(table["name"], table["label"], table["logit"], strict=True):
            wrong.setdefault(name, []).append((logit > 0) != (label == 1))
    page = (tmp_path / "report" / "report.md").read_text("utf-8")
    for of_class in ("NORMAL", "PNEUMONIA"):
        images = {name: runs for name, runs in wrong.items() if name.startswith(of_class)}
        never = [name for name, runs in images.items() if all(runs)]
        assert f"{len(never)} of {len(images)} {of_class}" in page.partition("No run gets these right: ")[2]
    assert any(all(runs) for runs in wrong.values())


@pytest.mark.parametrize(("side", "size", "words"), [
    (640, (224, 224), "640 px, enlarged from 224 × 224"),
    (64, (1024, 800), "64 px, reduced from 1,024 × 800"),
    (224, (224, 224), "224 px, as in its source"),
    (224, (300, 200), "224 px, stretched from 300 × 200"),
])  # fmt: skip
def test_what_was_done_to_an_image_is_said(side: int, size: tuple[int, int], words: str) -> None:
    assert ImageThumbnail(b"", side, size).words == words

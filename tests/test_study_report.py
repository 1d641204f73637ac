"""The report on runs of the study's rows."""

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats

import cxr_runner.__init__
from cxr_runner.base.errors import UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.report.collect.tree import collect_runs
from cxr_runner.report.compare.published_metrics import compare_with_published
from cxr_runner.report.compare.training_setups import TrainingSetup, training_setups
from cxr_runner.report.missing import Missing
from cxr_runner.report.render.commands import Commands
from cxr_runner.report.render.picture import Picture
from cxr_runner.report.render.study_figures import study_pictures
from cxr_runner.report.write import write_report
from cxr_runner.study import load_study
from study_trees import STUDIED, write_made_up_samples, write_study

WANTED = {1, 2, 3, 4, *range(9, 20), 21, 22, 24, 25}

STUDY = load_study()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on all rows with three seeds each."""
    root = tmp_path_factory.mktemp("whole")
    write_study(root)
    write_made_up_samples(root, str(STUDIED["fingerprint"]))
    write_report(root, root / "report")
    return root / "report"


def test_every_figure_is_there_as_png_and_svg(whole: Path) -> None:
    names = {f"fig{number:02}" for number in WANTED} | {"published", "converged", "errata"}
    files = {path.name for path in (whole / "figures").iterdir()}
    assert {f"{name}.{ending}" for name in names for ending in ("png", "svg")} < files
    columns = {"forest_column.svg", "forest_column.pdf"}  # the same as wide as a column of a paper
    drawn = {name.partition(".")[0] for name in files - columns}
    assert files == {f"{name}.{ending}" for name in drawn for ending in ("png", "svg")} | columns
    assert {"forest", "confusion"} <= drawn
    assert "curves" not in drawn  # those of the study's models stand in its figures
    page, errata = ((whole / f"{name}.html").read_text("utf-8") for name in ("index", "errata"))
    assert page.count('<img src="data:image/svg+xml;base64,') == len(drawn) - 1
    assert errata.count('<img src="data:image/svg+xml;base64,') == 1
    assert 'alt=""' not in page + errata
    assert "Makes what is missing" not in page.partition("Beside the published values")[2]  # above are the claims


def test_the_page_asks_nobody_for_anything(whole: Path) -> None:
    page = (whole / "index.html").read_text("utf-8")
    assert "default-src 'none'" in page
    assert not any(f'{attribute}="{scheme}' in page for attribute in ("src", "href") for scheme in ("http", "//"))


@pytest.mark.long
def test_svg_files_are_well_formed_and_the_same_every_time(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole.parent / "runs", tmp_path / "runs")
    shutil.copytree(whole.parent / "samples", tmp_path / "samples")
    write_report(tmp_path, tmp_path / "report")
    for path in (whole / "figures").glob("*.svg"):
        ElementTree.parse(path)
        assert path.read_bytes() == (tmp_path / "report" / "figures" / path.name).read_bytes()
    assert (whole / "index.html").read_bytes() == (tmp_path / "report" / "index.html").read_bytes()


@pytest.mark.parametrize(
    "name", ["fig20", "fig23", "table1", "table2", "configurations", "runs", "claims", "errata_recovery"]
)
def test_tables_come_as_csv_markdown_and_latex(whole: Path, name: str) -> None:
    data = pd.read_csv(whole / "tables" / f"{name}.csv")
    markdown = (whole / "tables" / f"{name}.md").read_text("utf-8").splitlines()
    latex = (whole / "tables" / f"{name}.tex").read_text("utf-8")
    assert len(data) == len(markdown) - 2 > 0
    assert latex.count(r"\\") == len(data) + 1
    assert all(rule in latex for rule in (r"\toprule", r"\midrule", r"\bottomrule"))


def test_published_values_have_the_digits_that_the_study_prints(whole: Path) -> None:
    lines = (whole / "tables" / "fig20.md").read_text("utf-8").splitlines()
    cells = [line[2:-2].split(" | ") for line in lines if line.startswith("| 20: ")]
    published = {row[1]: row[lines[0][2:-2].split(" | ").index("published")] for row in cells}
    assert {metric: value for metric, value in published.items() if value} == {
        "accuracy, mean over batches": "0.934",
        "precision": "0.93",
        "recall": "0.97",
        "F1": "0.95",
    }


def test_columns_are_right_aligned_that_hold_numbers_and_no_others(whole: Path) -> None:
    for path in (whole / "tables").glob("*.md"):
        header, rule, *rows = (line[2:-2].split(" | ") for line in path.read_text("utf-8").splitlines())
        for index, (heading, align) in enumerate(zip(header, rule, strict=True)):
            cells = [row[index] for row in rows if row[index] not in ("", "none", "no runs", "unknown")]
            number = all(re.match(r"(&lt; )?[+−]?[\d,.]+(?=$| (±|to|of|:|→|\(|%))", cell) for cell in cells)
            texts = heading.startswith("model") or path.stem == "pair"  # which has settings of any kind in its columns
            assert number == (align == "---:") or not cells or texts, (path.name, heading, cells)


def test_tables_1_and_2_have_every_row_as_its_experiment_file_says(whole: Path) -> None:
    rows = [
        row
        for table in (1, 2)
        for row in pd.read_csv(whole / "tables" / f"table{table}.csv", dtype={"model": str})["model"]
    ]
    assert rows == [row.id for row in STUDY.rows]


def test_the_comparison_is_mean_interval_and_difference_by_hand(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=range(4), rows=["20"])
    values = np.array([0.938, 0.946, 0.941, 0.947])
    for seed, value in enumerate(values):
        (path,) = tmp_path.glob(f"runs/*/seed={seed}/metrics.json")
        metrics = json.loads(path.read_text())
        metrics["test"]["accuracy_batch_mean"] = value
        path.write_text(json.dumps(metrics))
    table = cxr_runner.comparison_table(tmp_path, 20).set_index(["row", "metric"])
    entry = table.loc[("20", "accuracy_batch_mean")]
    error = 3.182446305 * values.std(ddof=1)  # t of 3 degrees of freedom at 97.5 %
    half = error * np.sqrt(1 / 4)  # of the mean of 4 seeds
    rows = [json.loads(path.read_text())["test"] for path in tmp_path.glob("runs/*/seed=*/metrics.json")]
    right = np.mean([one["tp"] + one["tn"] for one in rows]) / 582
    by_seeds = values.var(ddof=1) * (1 + 1 / 4)
    by_images = 2 * right * (1 - right) * (18 / 32 + 1 / 6) / 19**2  # of ours and of theirs: 18 batches of 32, one of 6
    freedom = 3 * (by_seeds + by_images) ** 2 / by_seeds**2
    wide = scipy.stats.t.ppf(0.975, freedom) * np.sqrt(by_seeds + by_images)  # of one more seed on other images
    assert (entry["low"], entry["high"]) == pytest.approx((values.mean() - half, values.mean() + half))
    assert (entry["next_low"], entry["next_high"]) == pytest.approx((values.mean() - wide, values.mean() + wide))
    assert (entry["lowest"], entry["highest"]) == (values.min(), values.max())
    assert entry["published"] == pytest.approx(0.934)
    assert entry["difference"] == pytest.approx(values.mean() - 0.934)
    assert values.mean() - wide <= 0.934 < values.mean() - half - 0.0005  # of the two intervals in one alone
    assert wide > 2 * error * np.sqrt(1 + 1 / 4)
    assert entry["inside"]
    assert table.loc[("20", "accuracy"), "wilson_low"] < table.loc[("20", "accuracy"), "mean"]
    spread = np.sqrt(entry["mean"] * (1 - entry["mean"]) * (18 / 32 + 1 / 6)) / 19  # 18 batches of 32 and one of 6
    assert entry["wilson_high"] - entry["wilson_low"] == pytest.approx(2 * 1.96 * spread, rel=0.02)
    assert np.isnan(table.loc[("20", "auroc"), "published"])
    assert len(table) == 6 * len(STUDY.metrics)
    assert table.loc[("24", "f1"), "num_seeds"] == 0


def test_one_seed_has_no_interval_to_judge_by(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=[7], rows=["20b"])
    entry = cxr_runner.comparison_table(tmp_path, 23).set_index(["row", "metric"]).loc[("20b", "f1")]
    assert np.isnan(entry["low"])
    assert entry["inside"] is pd.NA
    assert entry["difference"] == pytest.approx(entry["mean"] - 0.95)


@pytest.mark.usefixtures("quick_pictures")
def test_what_is_missing_is_said_with_the_command_that_makes_it(tmp_path: Path) -> None:
    write_study(tmp_path, rows=["0", "1"])
    write_report(tmp_path, tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text("utf-8")
    block = text.split("### Fig. 9")[1].split("###")[0]
    assert "Without runs yet: model 2." in block
    assert "cxr-run -m experiment=table1_02 seeds=3 data=phantom data.image_size=64" in block
    assert "figures/fig09.png" in block
    assert "figures/fig13.png" not in text
    undrawn = text.split("#### Not drawn yet")[1]
    assert "- Fig. 13: Kernel size of the CNN. Without runs yet: models 11, 13.\n" in undrawn
    assert "Fig. 9" not in undrawn
    page = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert 'class="empty"' not in page
    (command,) = re.findall("cxr-run -m experiment=([^ ]*table1_11[^ ]*) seeds=3 data=phantom", undrawn)
    assert {"table1_10", "table1_11", "table1_13"} <= set(command.split(","))


def test_commands_for_what_is_missing_have_the_folds_of_what_is_there(tmp_path: Path) -> None:
    write_study(tmp_path, rows=["20"])
    (runs,), _ = collect_runs(tmp_path, STUDY, Reporter())
    folds = TrainingSetup(64, ("seeds=2",), ("data.split.folds=3",))
    commands = Commands(runs, {"20": {folds: 2}})
    for missing in ("21", "22"):  # of another family, of which nothing is there
        assert "data.split.folds=3" in commands.that_make([Missing((missing,))])


def duration_picture(root: Path) -> tuple[Picture, str]:
    """Return the figure of training times, and the command that makes what is missing of it."""
    (runs,), _ = collect_runs(root, STUDY, Reporter())
    picture = next(one for one in study_pictures(runs) if one.name == "fig25")
    return picture, Commands(runs, training_setups(runs)).that_make(picture.missing)


def test_training_times_are_those_on_pixels_as_soon_as_all_models_have_some(tmp_path: Path) -> None:
    rows = next(figure.rows for figure in STUDY.figures if figure.number == 25)
    linear = [row_id for row_id in rows if STUDY.row(row_id).family != "cnn"]
    write_study(tmp_path / "gram", rows=linear, engine="gram")
    write_study(tmp_path / "pixel", rows=set(rows) - set(linear))
    apart, command = duration_picture(tmp_path)
    assert any(note.startswith("Not comparable") for note in apart.notes)
    assert "engine=pixel" in command
    assert all(STUDY.row(row_id).experiment in command for row_id in linear)
    write_study(tmp_path / "pixel", rows=linear, seeds=[7])
    together, command = duration_picture(tmp_path)
    assert together.notes == ("Engine and device: pixel on cpu (2 threads).",)
    assert command == ""
    assert together.draw
    assert next(iter(together.draw().axes[0].get_yticklabels())).get_text().endswith(", pixel")


def test_image_sizes_stand_beside_each_other_and_are_never_averaged(tmp_path: Path) -> None:
    small = STUDIED | {"fingerprint": "a" * 16}
    write_study(tmp_path / "large", rows=["20", "21"], image_size=640)
    write_study(tmp_path / "small", rows=["20", "22"], data=small, image_size=64)
    (runs,), _ = collect_runs(tmp_path, STUDY, Reporter())
    assert runs.image_sizes == [640, 64]
    assert {row_id: repetition.image_size for row_id, repetition in runs.repetitions.items()} == {
        "20": 640,
        "21": 640,
        "22": 64,
    }
    assert all(len(repetition.runs) == 3 for repetition in runs.repetitions.values())
    table = (
        compare_with_published(runs.repetitions, STUDY.metric_figures[0], STUDY).drop_duplicates("row").set_index("row")
    )
    assert (table.loc["20", "image_size"], table.loc["22", "image_size"]) == (640, 64)


@pytest.mark.usefixtures("quick_pictures")
def test_images_that_have_changed_under_the_same_settings_are_kept_apart(tmp_path: Path) -> None:
    write_study(tmp_path / "before", rows=["20"])
    write_study(tmp_path / "after", rows=["20"], data=STUDIED | {"fingerprint": "a" * 16})
    assert len(collect_runs(tmp_path, STUDY, Reporter())[0]) == 2
    write_report(tmp_path, tmp_path / "report")
    assert {"fig20_1.csv", "fig20_2.csv"} < {path.name for path in (tmp_path / "report" / "tables").iterdir()}
    with pytest.raises(UserError, match="runs on one data set are needed"):
        cxr_runner.comparison_table(tmp_path)


def test_of_two_configurations_that_repeat_a_row_the_one_with_more_seeds_counts(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=range(2), rows=["20"])
    other = tmp_path / "runs" / "zz-0123456789"
    for seed in range(3):
        shutil.copytree(next((tmp_path / "runs").glob("table*/seed=0")), other / f"seed={seed}")
        text = (other / f"seed={seed}" / "config.yaml").read_text().replace('"seed": 0', f'"seed": {seed}')
        (other / f"seed={seed}" / "config.yaml").write_text(text)
    (runs,), _ = collect_runs(tmp_path, STUDY, Reporter())
    assert runs.repetitions["20"].table["name"].unique().tolist() == ["zz"]


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04"])
def test_damaged_samples_are_done_without(tmp_path: Path, content: bytes) -> None:
    write_study(tmp_path, rows=["20"])
    path = tmp_path / "samples" / f"{STUDIED['fingerprint']}.npz"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"number=2: no runs to draw it from; make them with cxr-run -m"):
        cxr_runner.study_figure(tmp_path, 2)


@pytest.mark.usefixtures("quick_pictures")
def test_runs_directories_without_anything_in_them_are_listed(tmp_path: Path, capsys: Any) -> None:
    write_study(tmp_path, rows=["20"], seeds=[0])
    (tmp_path / "runs" / "cut-0123456789" / "seed=0").mkdir(parents=True)
    (tmp_path / "runs" / "file-0123456789").mkdir()
    (tmp_path / "runs" / "file-0123456789" / "seed=0").write_text("no folder")
    write_report(tmp_path, tmp_path / "report")
    left_out = pd.read_csv(tmp_path / "report" / "tables" / "left_out.csv")
    assert left_out["path"].tolist() == ["runs/cut-0123456789/seed=0"]
    assert "status.json is missing" in left_out["reason"][0]
    assert "status.json is missing" in (tmp_path / "report" / "index.html").read_text("utf-8")


@pytest.mark.parametrize(
    "data",
    [
        STUDIED | {"counts": "many", "positive_class": 7, "duplicates_dropped": {"a": 1}, "unreadable_skipped": 3},
        pytest.param(STUDIED | {"counts": {"train": {"a": -1}}, "new": [1, 2]}, marks=pytest.mark.long),
        STUDIED | {"counts": {"train": {"<b>a": 1, "$x$": 10**8, "c": 2}, "odd": {"<b>a": 0, "$x$": 0, "c": 0}}},
        {**STUDIED, "fingerprint": "../../../etc", "title": '"><img src=x onerror=alert(1)>'},
    ],
)
def test_strange_facts_about_the_data_break_nothing(tmp_path: Path, data: dict[str, Any]) -> None:
    write_study(tmp_path, rows=["0", "20"], seeds=[0], data=data)
    write_report(tmp_path, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert "<b>" not in page
    assert "<img src=x" not in page


def test_load_runs_gives_a_row_a_run_and_numbers_them_as_the_study_does(tmp_path: Path) -> None:
    write_study(tmp_path, rows=["5", "22b"], seeds=range(2))
    runs = cxr_runner.load_runs(str(tmp_path))
    assert runs["row"].tolist() == ["5", "5", "22b", "22b"]
    assert runs["seed"].tolist() == [0, 1, 0, 1]
    assert (tmp_path / runs["path"][0] / "history.csv").is_file()


def test_a_figure_that_the_study_does_not_have_is_the_users_mistake(tmp_path: Path) -> None:
    write_study(tmp_path, rows=["5"])
    with pytest.raises(UserError, match=r"^number=99: valid are 1, 2, 3, 4, 9"):
        cxr_runner.study_figure(tmp_path, 99)
    with pytest.raises(UserError, match=r"^figure=21: 20 and 23"):
        cxr_runner.comparison_table(tmp_path, 21)
    assert cxr_runner.study_figure(tmp_path, 11).axes


def test_nothing_else_is_public() -> None:
    study = {"comparison_table", "study_figure"}
    assert set(cxr_runner.__all__) == {"__version__", "run", "load", "load_runs", "compare", "forest", "curves", *study}
    with pytest.raises(AttributeError, match="no attribute 'walk'"):
        cxr_runner.walk  # noqa: B018

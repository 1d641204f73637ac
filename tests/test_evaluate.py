"""cxr-model evaluate: a model on labelled images of another place, against its own test images."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import brier_score_loss, f1_score, roc_auc_score

import cxr_runner
from conftest import Answer, call_inside
from cxr_runner import cli
from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.data.dataset import Dataset, open_dataset
from model_runs import first_fold

Command = Callable[..., Answer]
PLAIN = {"data.num_images": 80, "data.image_size": 64}
FOREIGN = ("data=phantom", "data.num_images=60", "data.phantom_seed=7")


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """The images that the first fold was trained and tested on."""
    return first_fold()


@pytest.fixture
def runs(model_copy: list[Path]) -> list[Path]:
    """Two folds of a linear model."""
    return model_copy


@pytest.fixture
def run(runs: list[Path]) -> Path:
    """The run of the first fold."""
    return runs[0]


def save(
    dataset: Dataset, split: str, folder: Path, names: tuple[str, str] = ("HEALTHY", "ILL"), prefix: str = ""
) -> None:
    """Save the images of a split in two folders."""
    for row, label in zip(dataset.rows(split), dataset.labels(split), strict=True):
        (folder / names[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(dataset.images[row]).save(folder / names[label] / f"{prefix}{split}{row}.png")


def read(folder: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    content = json.loads((folder / "evaluation.json").read_text("utf-8"))
    return content, pd.read_csv(folder / "predictions.csv", keep_default_na=False)


def metric(content: dict[str, Any], name: str, rule: str = "") -> dict[str, Any]:
    (row,) = [row for row in content["metrics"] if (row["metric"], row["rule"]) == (name, rule)]
    return row


def test_inside_and_outside_are_measured_alike_and_compared(run: Path, cxr_model: Command, elsewhere: Path) -> None:
    answer = cxr_model("evaluate", run, *FOREIGN, "--name", "ward")
    assert (answer.code, answer.err) == (0, "")
    content, table = read(run / "evaluations" / "ward")
    assert {path.name for path in (run / "evaluations" / "ward").iterdir()} == {
        *("evaluation.json", "predictions.csv", "evaluation.png")
    }
    assert list(elsewhere.iterdir()) == []
    own = pd.read_csv(run / "predictions.csv")
    sides = {"inside": own[own["split"] == "test"], "outside": table}
    saved = json.loads((run / "metrics.json").read_text("utf-8"))["test"]
    for side, images in sides.items():
        labels, logits = images["label"].to_numpy(), images["logit"].to_numpy()
        probabilities, positive = 1 / (1 + np.exp(-logits)), logits > 0
        expected = {
            ("auroc", ""): roc_auc_score(labels, logits),
            ("brier", ""): brier_score_loss(labels, probabilities),
            ("accuracy", "0.5 as trained"): (positive == labels).mean(),
            ("sensitivity", "0.5 as trained"): positive[labels == 1].mean(),
            ("specificity", "0.5 as trained"): (~positive[labels == 0]).mean(),
            ("ppv", "0.5 as trained"): labels[positive].mean(),
            ("npv", "0.5 as trained"): 1 - labels[~positive].mean(),
            ("f1", "0.5 as trained"): f1_score(labels, positive),
        }
        for (name, rule), value in expected.items():
            estimate, low, high = metric(content, name, rule)[side]
            assert estimate == pytest.approx(value, abs=1e-6), (side, name)
            assert low <= estimate + 1e-9
            assert estimate <= high + 1e-9
    assert metric(content, "ece")["inside"][0] == pytest.approx(saved["ece"], abs=1e-6)
    for row in content["metrics"]:
        difference, low, high = row["difference"]
        assert difference == pytest.approx(row["outside"][0] - row["inside"][0])
        assert low <= difference + 1e-9 <= high + 2e-9 or row["metric"].startswith("calibration")
    assert content["inside"]["images"] == saved["n"]
    assert content["outside"]["positive"] == int(table["label"].sum())
    val = own[own["split"] == "val"]
    chosen = content["thresholds"]["youden on val"]
    best = max(np.r_[val["logit"], 0.0], key=lambda at: _youden(val, at))
    assert _youden(val, chosen) == pytest.approx(max(_youden(val, best), _youden(val, chosen)))
    assert "AUROC " in answer.out
    assert answer.out.splitlines()[-2].startswith("Outside, ")


def _youden(table: pd.DataFrame, threshold: float) -> float:
    positive, labels = table["logit"] > threshold, table["label"] == 1
    return float(positive[labels].mean() - positive[~labels].mean())


@pytest.mark.usefixtures("quick_pictures")
def test_classes_are_mapped_and_a_model_that_is_the_wrong_way_round_is_worse_than_chance(
    run: Path, dataset: Dataset, cxr_model: Command, tmp_path: Path
) -> None:
    save(dataset, "test", tmp_path / "ward")
    data = ("data=folder", f"data.root={tmp_path / 'ward'}", "data.positive=ILL")
    assert cxr_model("evaluate", run, *data, "--map", "HEALTHY=NORMAL").code == 0
    right, table = read(run / "evaluations" / "ward")
    assert right["data"]["classes"] == {"HEALTHY": "NORMAL", "ILL": "PNEUMONIA"}
    assert table["label"].tolist() == [int(name.startswith("ILL/")) for name in table["name"]]
    same = metric(right, "auroc")
    assert len(table) == len(dataset.rows("test"))
    answer = cxr_model("evaluate", run, *data, "--map", "HEALTHY=PNEUMONIA", "--name", "turned")
    wrong, _ = read(run / "evaluations" / "turned")
    assert wrong["data"]["classes"] == {"HEALTHY": "PNEUMONIA", "ILL": "NORMAL"}
    assert metric(wrong, "auroc")["outside"][0] == pytest.approx(1 - same["outside"][0])
    assert "Outside, the model is worse than chance: AUROC 0." in answer.out
    assert wrong["verdict"][0].startswith("Outside, the model is worse than chance")


@pytest.mark.usefixtures("quick_pictures")
def test_images_that_were_trained_on_are_marked_and_do_not_count(
    run: Path, dataset: Dataset, cxr_model: Command, tmp_path: Path
) -> None:
    classes = ("NORMAL", "PNEUMONIA")
    save(dataset, "train", tmp_path / "ward", classes)
    other = open_dataset(compose({**PLAIN, "data.phantom_seed": 3})[0].data, Reporter())
    save(other, "train", tmp_path / "ward", classes, "other")
    answer = cxr_model("evaluate", run, "data=folder", f"data.root={tmp_path / 'ward'}")
    assert answer.code == 0, answer.err
    content, table = read(run / "evaluations" / "ward")
    known = {f"train{row}.png" for row in dataset.rows("train")}
    assert content["excluded"]["the same"] == len(known)
    seen = table[table["overlap"] == "the same"]
    assert {name.rpartition("/")[2] for name in seen["name"]} == known
    assert not table["counted"][table["overlap"] != ""].any()
    counted = table[table["counted"]]
    assert content["outside"]["images"] == len(counted) < len(table)
    area = roc_auc_score(counted["label"], counted["logit"])
    assert metric(content, "auroc")["outside"][0] == pytest.approx(area)
    assert "of the training set do not count" in answer.out


@pytest.mark.usefixtures("quick_pictures")
def test_an_ensemble_is_compared_on_the_images_that_each_fold_has_held_out(
    runs: list[Path], cxr_model: Command
) -> None:
    answer = cxr_model("evaluate", *runs, *FOREIGN, "--name", "ward")
    assert answer.code == 0, answer.err
    (folder,) = runs[0].parents[1].glob("ensemble-*")
    keys = [f"{run.parent.name}/{run.name}" for run in runs]
    assert json.loads((folder / "members.json").read_text("utf-8")) == {"runs": keys}
    content, table = read(folder / "evaluations" / "ward")
    held_out = pd.concat([pd.read_csv(run / "predictions.csv").query("split == 'test'") for run in runs])
    assert content["inside"]["images"] == len(held_out) == 80
    expected = roc_auc_score(held_out["label"], held_out["logit"])
    assert metric(content, "auroc")["inside"][0] == pytest.approx(expected)
    each = [cxr_runner.load(run) for run in runs]
    foreign = open_dataset(
        compose({"data.num_images": 60, "data.phantom_seed": 7, "data.image_size": 64})[0].data, Reporter()
    )
    row = foreign.table.reset_index().set_index("name")["index"][table["name"]].to_numpy()
    logits = np.mean([one.predict(list(foreign.images[row]))["logit"] for one in each], axis=0)
    np.testing.assert_allclose(table["logit"], logits, atol=1e-5)
    again = cxr_model("evaluate", *reversed(runs), *FOREIGN, "--name", "ward")  # in any order it is the same model
    assert again.code == 0
    assert [path.name for path in runs[0].parents[1].glob("ensemble-*")] == [folder.name]
    assert [path.name for path in (folder / "evaluations").iterdir()] == ["ward"]


@pytest.mark.usefixtures("quick_pictures")
def test_subgroups_of_a_table_are_measured_and_numbers_become_ranges(
    run: Path, cxr_model: Command, tmp_path: Path
) -> None:
    other = open_dataset(compose({**PLAIN, "data.phantom_seed": 5})[0].data, Reporter())
    rows = []
    for number, (row, label) in enumerate(zip(other.table.index, other.table["label"], strict=True)):
        Image.fromarray(other.images[row]).save(tmp_path / f"{number}.png")
        rows.append((f"{number}.png", ["no", "yes"][label], f"p{number // 2}", ["F", "M"][number % 2], 20 + number))
    table = pd.DataFrame(rows, columns=["image", "label", "patient", "sex", "age"])
    table.to_csv(tmp_path / "list.csv", index=False)
    data = ("data=table", f"data.file={tmp_path / 'list.csv'}", f"data.root={tmp_path}", "data.positive=yes")
    answer = cxr_model("evaluate", run, *data, "data.subgroups=[sex,age]", "--map", "yes=PNEUMONIA")
    assert answer.code == 0, answer.err
    content, predictions = read(run / "evaluations" / "list-csv")
    counted = predictions[predictions["counted"]]
    assert content["outside"]["patients"] == counted["patient"].nunique()
    groups = {(row["column"], row["group"]): row for row in content["subgroups"]}
    for sex in ("F", "M"):
        some = counted[counted["sex"] == sex]
        assert groups["sex", sex]["images"] == len(some)
        area = roc_auc_score(some["label"], some["logit"])
        assert groups["sex", sex]["auroc"][0] == pytest.approx(area)
        assert groups["sex", sex]["sensitivity"][0] == pytest.approx((some["logit"] > 0)[some["label"] == 1].mean())
    ages = [name for column, name in groups if column == "age"]
    assert len(ages) == 4
    assert ages[0].startswith("20 to ")
    assert sum(groups["age", name]["images"] for name in ages) == len(counted)
    assert {(test["column"], test["metric"]) for test in content["tests"]} == {
        (column, name) for column in ("sex", "age") for name in ("auroc", "sensitivity", "specificity")
    }


@pytest.mark.usefixtures("quick_pictures")
def test_the_report_shows_inside_outside_and_the_difference(
    run: Path, cxr_model: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cxr_model("evaluate", run, *FOREIGN, "--name", "shown")
    out = tmp_path / "report"
    report = ["cxr-report", str(run), "--out", str(out), "--hide-names"]
    assert call_inside(cli.report, report, monkeypatch, capsys).code == 0
    page, text = (out / "index.html").read_text("utf-8"), (out / "report.md").read_text("utf-8")
    content, _ = read(run / "evaluations" / "shown")
    for written in (page, text):
        assert "On images of another place" in written
        assert "linear (1 run) on synthetic phantom data" in written
        assert content["verdict"][0] in written
    area = metric(content, "auroc")
    tables = sorted(path for path in (out / "tables").glob("evaluation_?.csv"))
    shown = [pd.read_csv(path).set_index(["metric", "rule"], drop=False) for path in tables]
    assert any(table["difference"].iloc[0] == pytest.approx(area["difference"][0]) for table in shown)
    (run / "evaluations" / "shown" / "evaluation.json").write_text("{}")  # what was changed is not shown
    call_inside(cli.report, report, monkeypatch, capsys)
    (left,) = set(tables) - {*(out / "tables").glob("evaluation_?.csv")} or {None}
    assert left is not None


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("RUN",), "evaluate: needs labelled images, data=... as of cxr-run"),
        (("RUN", *FOREIGN, "--", "a.png"), "evaluate: needs labelled images"),
        (("RUN", *FOREIGN, "--name", "../up"), "--name=../up: valid are letters"),
        (("RUN", *FOREIGN, "--out", "a.csv"), "evaluate: --out is a flag of cxr-model predict"),
        (("RUN", *FOREIGN, "--map", "ILL=NORMAL"), "--map=ILL=NORMAL: no class of the data is called ILL; valid are"),
        (("RUN", *FOREIGN, "--map", "NORMAL=ILL"), "--map=NORMAL=ILL: no class of the model is called ILL; valid are"),
        (
            ("RUN", *FOREIGN, "--map", "NORMAL=NORMAL", "--map", "PNEUMONIA=NORMAL"),
            "--map=PNEUMONIA=NORMAL: both classes of the data would be NORMAL",
        ),
        (
            ("RUN", *FOREIGN, "--map", "NORMAL=NORMAL", "--map", "NORMAL=PNEUMONIA"),
            "--map=NORMAL=PNEUMONIA: NORMAL is NORMAL already",
        ),
        (
            ("RUN", "WARD", "data=folder", "data.positive=ILL"),
            "--map: the classes of the data are HEALTHY and ILL, those of the model NORMAL and PNEUMONIA: say which",
        ),
        (("RUN", "FEW", "data=folder"), "evaluate: 3 images of NORMAL remain, at least 5 are needed; those of"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    run: Path,
    dataset: Dataset,
    cxr_model: Command,
    elsewhere: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    complaint: str,
) -> None:
    before = sorted(path.name for path in run.rglob("*"))
    save(dataset, "test", tmp_path / "ward")
    save(dataset, "test", tmp_path / "few", ("NORMAL", "PNEUMONIA"))
    for path in sorted((tmp_path / "few" / "NORMAL").iterdir())[3:]:
        path.unlink()
    places = {"RUN": str(run), "WARD": f"data.root={tmp_path / 'ward'}", "FEW": f"data.root={tmp_path / 'few'}"}
    answer = cxr_model("evaluate", *(places.get(word, word) for word in arguments))
    assert answer.code == 2, answer.out
    assert answer.err.startswith(f"cxr-model: {complaint}"), answer.err
    assert answer.err.count("\n") == 1
    assert sorted(path.name for path in run.rglob("*")) == before
    assert list(elsewhere.iterdir()) == []

"""Trivial baselines in the report."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cxr_runner.report.write import write_report
from study_trees import STUDIED, write_study

DATA = {"name": "phantom", "patient_pattern": r"patient\d+", "image_size": 64}

pytestmark = pytest.mark.usefixtures("quick_pictures")


def write_audit(root: Path, **changes: Any) -> None:
    scores = {"accuracy": 0.931, "precision": 0.94, "recall": 0.97, "f1": 0.953, "auroc": 0.974, "n": 582}
    content: dict[str, Any] = {"format": 1, "fingerprint": STUDIED["fingerprint"], "data": STUDIED}
    content |= {"config": DATA}
    content |= {"shortcuts": {"baselines": [{"words": "8x8 <b>pixels", "own": scores}]}, **changes}
    path = root / "audits" / "x" / "audit.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))


def report(root: Path) -> tuple[pd.DataFrame, Path]:
    write_study(root, rows=["20", "23b"], seeds=[0])
    write_report(root, root / "report")
    table = pd.read_csv(root / "report" / "tables" / "fig20.csv")
    return table[table["row"] == "trivial baseline"], root / "report"


def test_without_an_audit_the_majority_is_there_with_the_command_that_makes_the_others(tmp_path: Path) -> None:
    rows, out = report(tmp_path)
    values = rows.set_index("metric")["mean"]
    assert set(rows["model"]) == {"always PNEUMONIA"}
    assert values["accuracy"] == pytest.approx(411 / 582)
    assert values["f1"] == pytest.approx(2 * 411 / (2 * 411 + 171))
    assert (values["recall"], values["auroc"]) == (1.0, 0.5)
    accuracy = rows.set_index("metric").loc["accuracy"]
    assert accuracy["wilson_low"] < 411 / 582 < accuracy["wilson_high"]
    assert "cxr-data audit data=phantom data.image_size=64" in (out / "index.html").read_text("utf-8")
    assert "cxr-data audit data=phantom data.image_size=64" in (out / "report.md").read_text("utf-8")


def test_an_audit_of_the_same_images_is_in_every_form_of_both_tables(tmp_path: Path) -> None:
    write_audit(tmp_path)
    rows, out = report(tmp_path)
    assert rows.set_index("metric")["mean"].to_dict() == {
        "accuracy": 0.931,
        "precision": 0.94,
        "recall": 0.97,
        "f1": 0.953,
        "auroc": 0.974,
    }
    for figure in ("fig20", "fig23"):
        assert "| trivial baseline: 8x8 &lt;b&gt;pixels | AUROC | 0.974 |" in (out / f"tables/{figure}.md").read_text()
        latex = (out / f"tables/{figure}.tex").read_text()
        assert r"trivial baseline: 8x8 \textless{}b\textgreater{}pixels & AUROC & 0.974" in latex
    page = (out / "index.html").read_text("utf-8")
    assert page.count('<th scope="row">8x8 &lt;b&gt;pixels</th>') == 2
    assert "<b>pixels" not in page
    assert "cxr-data audit" not in page


def test_an_audit_of_the_same_images_at_another_size_counts(tmp_path: Path) -> None:
    write_audit(tmp_path, fingerprint="a" * 16, config=DATA | {"image_size": 24})
    assert set(report(tmp_path)[0]["model"]) == {"8x8 <b>pixels"}


@pytest.mark.parametrize(
    "changes",
    [
        {"fingerprint": "a" * 16, "data": STUDIED | {"num_images": 7}},
        {"fingerprint": "a" * 16, "config": DATA | {"split": {"seed": 1}}},
        {"fingerprint": "a" * 16, "data": {}, "config": 3},
        {"format": 2},
        {"shortcuts": None},
        {"shortcuts": {"baselines": [{"words": "x", "own": {"accuracy": None, "n": 3}}]}},
        {"shortcuts": {"baselines": [{"words": "x", "own": {"accuracy": 0.5}}]}},
        {"shortcuts": {"baselines": [{"words": "x", "own": {"accuracy": float("nan"), "n": 3}}]}},
    ],
)
def test_audits_of_other_images_and_damaged_ones_are_passed_over(tmp_path: Path, changes: dict[str, Any]) -> None:
    write_audit(tmp_path, **changes)
    assert set(report(tmp_path)[0]["model"]) == {"always PNEUMONIA"}

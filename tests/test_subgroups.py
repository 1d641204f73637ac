"""Subgroups: in the report, from predictions to the page, and by class in the audit."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from conftest import Answer, call_inside
from cxr_runner import cli, load_runs, stats
from cxr_runner.artifacts.levels import MOST_LEVELS, NOT_KNOWN, OTHER, find_levels, subgroup_names
from cxr_runner.audit.class_columns import _chance, count_columns
from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.data.dataset import Dataset
from cxr_runner.data.sources import About, Listing
from cxr_runner.data.sources.folder import FolderSource
from cxr_runner.experiment.sweep import train
from cxr_runner.report.collect.tree import collect
from cxr_runner.report.collected import Withheld
from cxr_runner.report.compare.subgroup_metrics import SubgroupMetrics, compare_subgroups
from cxr_runner.report.write import write_report
from cxr_runner.study import load_study
from run_trees import HOSPITAL, write_run
from study_trees import write_study
from subgroup_trees import make_images, make_logits, note_checksums, write_grouped_run
from test_audit import plant, read, texts

NUM = 300  # test images of the trees here

pytestmark = pytest.mark.usefixtures("quick_pictures")


def views(shares: dict[str, float], num: int = NUM, seed: int = 0) -> list[str]:
    return np.random.default_rng(seed).choice(list(shares), num, p=list(shares.values())).tolist()


def measure(root: Path) -> SubgroupMetrics | None:
    (runs,) = collect(root, load_study(), Reporter()).data_sets
    return compare_subgroups(runs)


def measured(root: Path) -> SubgroupMetrics:
    result = measure(root)
    assert result is not None
    return result


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two configurations of three seeds by view and sex; one is worse at AP, and one of its runs collapsed."""
    root = tmp_path_factory.mktemp("tree")
    columns = {"view": views({"AP": 0.4, "PA": 0.5, "": 0.1}), "sex": views({"F": 0.5, "M": 0.5}, seed=1)}
    images = make_images(columns, patients=True)
    worse = np.where(images["view"] == "AP", 2.0, 0)
    for seed in range(3):
        write_grouped_run(root, images, make_logits(images, seed), "[view,sex]", seed, "even")
        logits = make_logits(images, seed, worse)
        write_grouped_run(root, images, logits, ["view", "sex"], seed, "odd", 16, collapsed=seed == 2)
    return root


def test_metrics_are_means_over_the_runs_that_did_not_collapse(tree: Path) -> None:
    metrics = measured(tree).metrics
    assert metrics["value"].tolist() == ["AP", "PA", NOT_KNOWN, "F", "M"] * 2
    entry = metrics.set_index([metrics["configuration"].str[:3], "value"]).loc[("odd", "AP")]
    assert (entry["num_runs"], entry["num_collapsed"], entry["num_used"]) == (3, 1, 2)
    tables = [
        pd.read_csv(next(tree.glob(f"runs/odd-*/seed={seed}/predictions.csv")), keep_default_na=False)
        for seed in (0, 1)
    ]
    test = [table[table["split"] == "test"] for table in tables]
    inside = [table[table["view"] == "AP"] for table in test]
    assert (entry["num_images"], entry["num_positive"]) == (len(inside[0]), inside[0]["label"].sum())
    assert entry["num_patients"] == inside[0]["patient"].nunique()
    labels = inside[0]["label"].to_numpy()
    expected = {
        "accuracy": [((one["logit"] > 0) == labels).mean() for one in inside],
        "sensitivity": [(one["logit"] > 0)[labels == 1].mean() for one in inside],
        "specificity": [(one["logit"] <= 0)[labels == 0].mean() for one in inside],
        "auroc": [stats.auroc(one["logit"].to_numpy(), labels) for one in inside],
    }
    for name, values in expected.items():
        assert entry[name] == pytest.approx(np.mean(values))
        assert entry[f"{name}_low"] < entry[name] < entry[f"{name}_high"]
    rest = [one[one["view"] != "AP"] for one in test]
    others = np.mean([(one["logit"] > 0)[one["label"] == 1].mean() for one in rest])
    assert entry["sensitivity_difference"] == pytest.approx(entry["sensitivity"] - others)
    assert entry["sensitivity_difference_high"] < 0


def test_a_planted_difference_is_found_and_no_other(tree: Path) -> None:
    tests = measured(tree).tests
    assert len(tests) == 12
    assert tests["holm"].tolist() == pytest.approx(list(stats.holm(tests["p"])))
    found = tests[tests["holm"] < 0.05]
    assert set(zip(found["configuration"].str[:3], found["column"], found["metric"], strict=True)) == {
        ("odd", "view", "sensitivity"),
        ("odd", "view", "auroc"),
    }
    assert set(tests["values"]) == {"AP, PA", "F, M"}  # what is not known is no group


def test_without_differences_a_whole_table_seldom_finds_one(tmp_path: Path) -> None:
    found = 0
    for number in range(20):
        columns = {"a": views({"x": 0.3, "y": 0.7}, seed=number), "b": views({"u": 0.5, "v": 0.5}, seed=number + 99)}
        images = make_images(columns)
        write_grouped_run(tmp_path / f"{number}", images, make_logits(images, number), "[a,b]")
        found += bool((measured(tmp_path / f"{number}").tests["holm"] < 0.05).any())
    assert found <= 4  # more than 4 of 20 happen in 3 of 1,000 times at a rate of 5 %


def test_groups_with_few_patients_of_a_class_are_counted_and_not_tested(tmp_path: Path) -> None:
    view = ["AP"] * 12 + ["PA"] * (NUM - 12)
    images = make_images({"view": view})
    write_grouped_run(tmp_path, images, make_logits(images, 0), "view")
    result = measured(tmp_path)
    small = result.metrics.set_index("value").loc["AP"]
    assert (small["num_images"], bool(small["tested"])) == (12, False)
    assert np.isnan(small["auroc"])
    assert 0 <= small["sensitivity_low"] < small["sensitivity_high"] <= 1
    assert result.tests["p"].isna().all()
    write_report(tmp_path, tmp_path / "report")
    page = (tmp_path / "report" / "report.md").read_text("utf-8")
    assert "By view, no test was made of whether a metric differs between groups" in page
    assert "at least 10 images of each class" in page


def test_many_images_of_one_patient_are_one_patient(tmp_path: Path) -> None:
    images = make_images({"view": ["AP"] * 40 + ["PA"] * (NUM - 40)}, patients=True)
    images.loc[(images["view"] == "AP"), "patient"] = "somebody"
    write_grouped_run(tmp_path, images, make_logits(images, 0), "view")
    result = measured(tmp_path)
    entry = result.metrics.set_index("value").loc["AP"]
    assert (entry["num_images"], entry["num_patients"], bool(entry["tested"])) == (40, 1, False)
    assert entry["sensitivity_high"] - entry["sensitivity_low"] > 0.7
    assert result.tests["p"].isna().all()


def test_one_run_has_wilsons_interval_and_a_bootstrap(tmp_path: Path) -> None:
    images = make_images({"view": views({"AP": 0.5, "PA": 0.5})})
    write_grouped_run(tmp_path, images, logits := make_logits(images, 0), "[view]")
    entry = measured(tmp_path).metrics.set_index("value").loc["PA"]
    inside = (images["view"] == "PA").to_numpy()
    labels, chosen = images["label"].to_numpy()[inside], logits[inside]
    right = int(((chosen > 0) == (labels == 1)).sum())
    assert (entry["accuracy_low"], entry["accuracy_high"]) == pytest.approx(stats.wilson(right, len(labels))[1:])
    weights = stats.resample(len(labels), replicates=4000, seed=1)
    ends = stats.bootstrap(lambda drawn: stats.auroc(chosen, labels, drawn), weights)[1:]
    assert (entry["auroc_low"], entry["auroc_high"]) == pytest.approx(ends, abs=0.006)


def test_columns_that_were_mended_later_are_not_mixed_with_those_of_before(tmp_path: Path) -> None:
    images = make_images({"view": views({"AP": 0.5, "PA": 0.5})})
    mended = images.assign(view=images["view"].replace("PA", "LATERAL"))
    for seed, some in enumerate((images, mended, mended)):
        write_grouped_run(tmp_path, some, make_logits(images, seed), "[view]", seed)
    metrics = measured(tmp_path).metrics
    assert metrics["value"].tolist() == ["AP", "LATERAL"]
    assert metrics["num_used"].tolist() == [2, 2]


def test_a_run_that_lacks_a_column_counts_where_it_has_one(tmp_path: Path) -> None:
    images = make_images({"view": views({"AP": 0.5, "PA": 0.5}), "sex": views({"F": 0.5, "M": 0.5}, seed=1)})
    write_grouped_run(tmp_path, images, make_logits(images, 0), "[view,sex]", 0)
    write_grouped_run(tmp_path, images.drop(columns="sex"), make_logits(images, 1), "view", 1)
    metrics = measured(tmp_path).metrics
    assert dict(zip(metrics["column"], metrics["num_used"], strict=True)) == {"view": 2, "sex": 1}


def test_without_columns_nothing_changes(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=[0], rows=["20"], names="patient{}.png")
    write_grouped_run(tmp_path, make_images({}), make_logits(make_images({}), 0), None)
    write_report(tmp_path, tmp_path / "report")
    assert not list((tmp_path / "report").rglob("subgroup*"))
    for name in ("index.html", "report.md"):
        assert "ubgroups" not in (tmp_path / "report" / name).read_text("utf-8")


def test_a_column_that_nobody_asked_for_is_passed_over(tmp_path: Path) -> None:
    images = make_images({"label2": views({"a": 0.5, "b": 0.5}), "view": views({"AP": 0.5, "PA": 0.5})})
    write_grouped_run(tmp_path, images, make_logits(images, 0), "[view,missing,view,label,logit]")
    assert set(measured(tmp_path).metrics["column"]) == {"view"}
    assert len(load_runs(tmp_path)) == 1


@pytest.mark.parametrize("asked", [3, {"a": 1}, [1, None], "[]", "", "[,]", ["label"], "split", [["view"]]])
def test_a_configuration_that_makes_no_sense_gives_no_subgroups(tmp_path: Path, asked: Any) -> None:
    images = make_images({"view": views({"AP": 0.5, "PA": 0.5})})
    write_grouped_run(tmp_path, images, make_logits(images, 0), asked)
    assert measure(tmp_path) is None


def test_names_are_read_from_lists_and_from_text() -> None:
    assert subgroup_names("[view, sex]") == subgroup_names(["view", "sex"]) == ("view", "sex")
    assert subgroup_names("NA") == ("NA",)
    assert subgroup_names(None) == ()


ODD = [
    "<img src=x onerror=alert(1)>",
    "=1+1",
    "a|b",
    "$x_{1}$",
    "肺",
    "nan",
    "007",
    "  ",
    "x" * 500,
    'a,b\n"c"',
    "{{ 7 }}",
]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (",view\n", ",view,view\n"),
        (",view\n", ",label\n"),
        (",view\n", ",\n"),
        (",view\n", ",view,label2,=1\n"),
        ("split,", "view,"),
        (",label,", ",view,"),
        (",AP\n", ",\n"),
        (",AP\n", ",AP,AP\n"),
        (",AP\n", "\n"),
        (",AP\n", ',"A\nP"\n'),
        (",AP\n", ",A\0P\n"),
        (",PA\n", f",{'x' * 100_000}\n"),
    ],
)
def test_whatever_stands_in_predictions_there_is_a_report(tmp_path: Path, old: str, new: str) -> None:
    images = make_images({"view": views({"AP": 0.5, "PA": 0.5}, 60)})
    files = write_grouped_run(tmp_path, images, make_logits(images, 0), "[view]")
    text = files.predictions.read_text("utf-8")
    assert old in text
    files.predictions.write_text(text.replace(old, new), "utf-8")
    note_checksums(files)
    write_report(tmp_path, tmp_path / "report")
    assert (tmp_path / "report" / "index.html").stat().st_size < 2_000_000


def test_any_text_is_shown_as_it_is(tmp_path: Path) -> None:
    values = [ODD[number % len(ODD)] for number in range(440)]
    name = "<script>alert(1)</script>|$y$"
    images = make_images({name: values}).assign(label2=[f"0{number % 2}" for number in range(880)])
    write_grouped_run(tmp_path, images, make_logits(images, 0), [name, "label2"])
    write_report(tmp_path, tmp_path / "report")
    html = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert "<img src=x" not in html
    assert "<script>alert" not in html
    assert "AUROC by <script>alert(1)</script>|$y$" in unescape(html)
    table = pd.read_csv(tmp_path / "report" / "tables" / "subgroups.csv", keep_default_na=False)
    kept = {"<img src=x onerror=alert(1)>", "'=1+1", "a|b", "$x_{1}$", "肺", "nan", "007", "{{ 7 }}", 'a,b "c"'}
    assert kept <= set(table["value"])
    assert NOT_KNOWN in set(table["value"])  # blanks are nothing
    assert {"00", "01"} <= set(table["value"].astype(str))
    assert max(map(len, table["value"])) <= 60
    tex = (tmp_path / "report" / "tables" / "subgroups.tex").read_text("utf-8")
    assert r"\$x\_\{1\}\$" in tex


def test_odd_values_are_drawn(tmp_path: Path) -> None:
    from cxr_runner.plots.forest import plot_forest

    images = make_images({"$v_{$": [ODD[number % 4] for number in range(240)]})
    write_grouped_run(tmp_path, images, make_logits(images, 0), ["$v_{$"])
    figure = plot_forest(measured(tmp_path).metrics.dropna(subset=["auroc"]), "any $text_{")
    figure.savefig(tmp_path / "one.svg")
    assert (tmp_path / "one.svg").stat().st_size > 1000
    texts_drawn = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert [text.partition("   ")[0] for text in texts_drawn] == sorted(ODD[:4])


def test_a_column_of_as_many_values_as_images_is_pooled(tmp_path: Path) -> None:
    columns = {"uid": [f"1.2.{number}" for number in range(NUM)], "age": [f"{number % 30}Y" for number in range(NUM)]}
    images = make_images(columns)
    write_grouped_run(tmp_path, images, make_logits(images, 0), "[uid,age]")
    result = measured(tmp_path)
    counts = result.metrics["column"].value_counts()
    assert (counts["uid"], counts["age"]) == (1, MOST_LEVELS + 1)
    assert result.num_pooled == {"uid": NUM, "age": 20}
    write_report(tmp_path, tmp_path / "report")
    assert f"{NUM} values of uid are counted as “other”: of fewer than 10" in (
        tmp_path / "report" / "report.md"
    ).read_text("utf-8")


def test_levels_are_values_in_their_order_then_what_is_pooled_or_not_known() -> None:
    found = find_levels([*["b"] * 10, *["a"] * 12, *["c"] * 9, "d", "", " \t"])
    assert found.names == ("a", "b", OTHER, NOT_KNOWN)
    assert found.codes.tolist() == [1] * 10 + [0] * 12 + [2] * 10 + [3] * 2
    assert (found.num_pooled, found.num_named) == (2, 2)
    assert find_levels([]).names == ()
    assert find_levels([OTHER] * 20).num_named == 0


def test_the_page_says_what_was_found_and_what_that_means(tree: Path, tmp_path: Path) -> None:
    write_report(tree, tmp_path / "one")
    page = (tmp_path / "one" / "report.md").read_text("utf-8")
    assert "By view, sex, 2 of 12 tests of whether a metric differs between groups have a p value below 0.05" in page
    assert "It does not say that the difference is large" in page
    assert "### Subgroups" in page
    for name in ("subgroups", "subgroup_differences", "subgroup_tests"):
        for ending in ("csv", "md", "tex"):
            assert (tmp_path / "one" / "tables" / f"{name}.{ending}").is_file()
    assert (tmp_path / "one" / "figures" / "subgroups1.png").is_file()
    html = (tmp_path / "one" / "index.html").read_text("utf-8")
    ids = re.findall(r' id="([^"]*subgroup[^"]*)"', html)
    assert sorted(ids) == ["by_subgroup1", "subgroups1", "subgroups2"]
    write_report(tree, tmp_path / "two")
    assert (tmp_path / "two" / "report.md").read_text("utf-8") == page


def test_with_names_hidden_the_numbers_by_subgroup_stay_and_no_patient_is_named(tmp_path: Path) -> None:
    images = make_images({"view": views({"AP": 0.5, "PA": 0.5})})
    images["patient"] = [f"Mueller{number // 2}" for number in range(len(images))]
    write_grouped_run(tmp_path, images, make_logits(images, 0), "[view]")
    write_report(tmp_path, tmp_path / "whole")
    write_report(tmp_path, tmp_path / "bare", withheld=Withheld(names=True))
    tables = [(tmp_path / out / "tables" / "subgroups.csv").read_bytes() for out in ("whole", "bare")]
    assert tables[0] == tables[1]
    written = [path.read_bytes() for path in (tmp_path / "bare").rglob("*") if path.is_file()]
    assert not any(b"Mueller" in content for content in written)


def test_a_changed_column_is_an_altered_run(tmp_path: Path) -> None:
    images = make_images({"view": views({"AP": 0.5, "PA": 0.5})})
    for seed in (0, 1):
        files = write_grouped_run(tmp_path, images, make_logits(images, seed), "[view]", seed)
    files.predictions.write_text(files.predictions.read_text("utf-8").replace(",AP\n", ",PA\n", 1), "utf-8")
    assert load_runs(tmp_path)["seed"].tolist() == [0]


def with_columns(monkeypatch: pytest.MonkeyPatch, columns: Callable[[int, int], dict[str, str]]) -> None:
    """Have folders know columns: a function of the label and of the number of the image."""
    scan = FolderSource.scan

    def scan_columns(source: FolderSource) -> Listing:
        listing = scan(source)
        records = (replace(one, columns=columns(one.label, number)) for number, one in enumerate(listing.records))
        return replace(listing, records=tuple(records))

    monkeypatch.setattr(FolderSource, "scan", scan_columns)


def test_from_a_source_with_columns_to_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: Path
) -> None:
    plant(tmp_path / "rays", num_each=150, name="{kind}{n}.png")
    with_columns(monkeypatch, lambda _, number: {"view": "AP" if number % 2 else "PA"})
    data = ["data=folder", f"data.root={tmp_path / 'rays'}", "data.image_size=16", "data.subgroups=[view]"]
    train(compose([*data, "model=linear", "epochs=2", "progress=none", "outputs=outputs", "seeds=2"]))
    write_report(Path("outputs"), Path("report"))
    table = pd.read_csv("report/tables/subgroups.csv")
    assert table["value"].tolist() == ["AP", "PA"]
    assert table["num_images"].sum() == 30
    assert "### Subgroups" in Path("report/report.md").read_text("utf-8")


@pytest.fixture
def cxr_data(elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda *arguments: call_inside(cli.data, ["cxr-data", *arguments], monkeypatch, capsys)


def audit(tmp_path: Path, cxr_data: Callable[..., Answer], subgroups: str) -> tuple[dict[str, Any], str]:
    arguments = ("data=folder", f"data.root={tmp_path / 'rays'}", "data.image_size=16", f"data.subgroups={subgroups}")
    answer = cxr_data("audit", *arguments)
    assert (answer.code, answer.err) == (0, "")
    return read(Path("outputs"))


def test_a_view_that_tells_the_class_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cxr_data: Callable[..., Answer]
) -> None:
    plant(tmp_path / "rays", num_each=200, name="{kind}{n}.png")

    def columns(label: int, number: int) -> dict[str, str]:
        share = (45, 68)[label]  # of AP in chest X-rays without and with a finding
        return {"view": "AP" if number % 100 < share else "PA", "sex": "FM"[number % 2], "<b>uid": f"{number}"}

    with_columns(monkeypatch, columns)
    result, page = audit(tmp_path, cxr_data, "[view,sex,<b>uid]")
    (said,) = [finding for finding in result["findings"] if "The column view" in finding["text"]]
    assert said["level"] == "look"
    assert said["text"].startswith("The column view tells the class: ")
    assert re.search(
        r"(AP are 68% of PNEUMONIA against 45%|PA are 32% of PNEUMONIA against 55%) of NORMAL", said["text"]
    )
    assert "The column sex hardly tells the class" in texts(result, "fine")
    by_name = {entry["name"]: entry for entry in result["subgroups"]}
    (ap, pa) = by_name["view"]["levels"]
    assert ap["images"] == {"NORMAL": 90, "PNEUMONIA": 136}
    assert ap["shares"] == {"NORMAL": 0.45, "PNEUMONIA": 0.68}
    total = sum(number for level in (ap, pa) for split in level["counts"].values() for number in split.values())
    assert total == 400
    assert [by_name[name]["telling"] for name in ("view", "sex", "<b>uid")] == [True, False, False]
    assert by_name["<b>uid"]["num_pooled"] == 400
    assert "Subgroups by class" in page
    assert "<b>uid" not in page
    assert "90 (45.0%)" in page


def test_without_subgroups_the_page_of_an_audit_has_no_such_section(
    tmp_path: Path, cxr_data: Callable[..., Answer]
) -> None:
    plant(tmp_path / "rays")
    assert cxr_data("audit", "data=folder", f"data.root={tmp_path / 'rays'}", "data.image_size=16").code == 0
    result, page = read(Path("outputs"))
    assert result["subgroups"] == []
    assert "Subgroups" not in page


def dataset(values: list[str], labels: Any, patients: list[str] | None = None) -> Dataset:
    """Return a data set of which only what the audit counts is there."""
    table = pd.DataFrame({"label": labels, "split": "train", "patient": patients or [""] * len(values)})
    nothing = pd.DataFrame()
    images = np.zeros((0, 8, 8), np.uint8)
    about = About("made up")
    return Dataset(images, table, ("no", "yes"), about, nothing, nothing, Path(), "", pd.DataFrame({"view": values}))


@pytest.mark.parametrize("positive", [0.5, pytest.param(0.05, marks=pytest.mark.long)])
def test_columns_that_say_nothing_of_the_class_are_seldom_called_telling(positive: float) -> None:
    rng = np.random.default_rng(0)
    names = np.array(["AP", "PA", "LL", "", *(f"{number}" for number in range(20))])
    weights = np.array([0.4, 0.3, 0.1, 0.1, *[0.005] * 20])
    told = 0
    for _ in range(40):
        labels = (rng.random(400) < positive).astype(int)
        (column,) = count_columns(dataset(rng.choice(names, 400, p=weights).tolist(), labels))
        told += column.telling
    assert told <= 1  # by the rule for p alone, 2 or more of 40 happen in 1 of 1,000 times


def test_images_of_one_patient_are_no_evidence_of_their_own() -> None:
    rng = np.random.default_rng(0)
    chances = []
    for _ in range(60):
        labels, views_of = rng.integers(0, 2, 30), rng.integers(0, 2, 30)
        units = np.repeat(np.arange(30), 20)
        chances.append(_chance(views_of[units], labels[units], [f"p{unit}" for unit in units]))
        alone = _chance(views_of[units], labels[units], [""] * len(units))
        assert alone <= chances[-1] + 0.02
    assert np.mean(np.array(chances) < 0.05) < 0.15


def test_a_rare_class_needs_a_large_difference_and_a_common_one_a_large_v() -> None:
    labels = np.repeat([0, 1], [1900, 100])
    values = ["AP" if number % 100 < (45, 68)[label] else "PA" for number, label in enumerate(labels)]
    (column,) = count_columns(dataset(values, labels))
    assert column.cramers_v == pytest.approx(0.1, abs=0.03)
    assert column.telling
    small = ["AP" if number % 100 < (45, 49)[label] else "PA" for number, label in enumerate(np.repeat([0, 1], 5000))]
    (column,) = count_columns(dataset(small, np.repeat([0, 1], 5000)))
    assert column.p < 0.001
    assert not column.telling


def test_old_runs_are_read_as_ever(tmp_path: Path) -> None:
    files = write_run(tmp_path, data=HOSPITAL)
    files.predictions.write_text("split,name,label,logit,probability,label2\nval,a,0,1,0.7,x\n", "utf-8")
    assert len(load_runs(tmp_path)) == 1
    assert measure(tmp_path) is None
    assert json.loads(files.status.read_text("utf-8")) == {"state": "done"}

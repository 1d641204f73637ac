"""How configurations are called, and which one the others are compared with."""

import json
import re
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import call_inside
from cxr_runner import cli
from cxr_runner.base.errors import UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.config.usual_settings import flatten_settings, overrides, usual_settings
from cxr_runner.report.collect.tree import collect
from cxr_runner.report.collected_runs import CollectedRun, RunSplit
from cxr_runner.report.compare.comparison import compare
from cxr_runner.report.compare.configuration_labels import label_configurations
from cxr_runner.report.compare.reference import choose_reference, meant_by, natural_order
from cxr_runner.report.compare.sized_comparison import Comparison
from cxr_runner.report.report_options import ReportOptions
from cxr_runner.report.write import write_report
from cxr_runner.study import load_study
from split_trees import Maker, make_images, make_splits
from study_trees import write_study
from subgroup_trees import note_checksums

STUDY = load_study()
IMAGES = make_images(80)
SPLITS = make_splits(IMAGES, None)

pytestmark = pytest.mark.usefixtures("quick_pictures")


def run_of(
    settings: Mapping[str, object], run_id: str, name: str | None = None, started: str = "", **changes: Any
) -> CollectedRun:
    """Return a run with settings of ``cxr-run``, as it would be collected."""
    config = Maker(Path(), IMAGES, SPLITS, settings, name).config(SPLITS[0], 0)
    called = name or config["model"]["name"]
    metrics = {"device": "cpu (2 threads)", "engine": "pixel", "collapsed": False}
    values: dict[str, Any] = {"directory": Path(), "path": run_id, "name": called, "id": run_id, "seed": 0}
    values |= {"split": RunSplit(0, None, None, "f"), "configuration": f"{called}-{run_id}", "row": None}
    values |= {"config": config, "metrics": metrics, "data": {}, "started": started}
    return CollectedRun(**values | changes)


def labels_of(*configurations: Mapping[str, object]) -> list[str]:
    runs = {str(number): run_of(one, f"{number:010x}") for number, one in enumerate(configurations)}
    return list(label_configurations(runs, STUDY).values())


# Labels


@pytest.mark.parametrize(
    ("configurations", "expected"),
    [
        ([{}, {"model": "cnn"}], ["linear", "CNN"]),
        ([{"model": "linear_relu"}, {"model": "resnet18"}], ["linear + ReLU", "ResNet-18"]),
        ([{}, {"optimizer": "adam"}], ["SGD", "Adam"]),
        ([{"optimizer.lr": 1e-3}, {"optimizer.lr": 0.01}], ["lr 1e-3", "lr 0.01"]),
        ([{}, {"epochs": 30}], ["10 epochs", "30 epochs"]),
        ([{}, {"loss.pos_weight": 0.37}], ["unweighted", "weight 0.37"]),
        ([{}, {"model.layers": 4, "model.hidden": 20}], ["2 layers, 10 units", "4 layers, 20 units"]),
        ([{"model": "cnn"}, {"model": "cnn", "model.kernel_size": 5}], ["3x3 filters", "5x5 filters"]),
        ([{}, {"batch_size": 64}], ["batch 32", "batch 64"]),
        ([{}], ["linear"]),
        ([{"epochs": 30}], ["linear"]),  # what is asked for and does not differ tells nothing
        ([{}, {"model": "cnn", "epochs": 30}], ["linear, 10 epochs", "CNN, 30 epochs"]),
    ],
)
def test_labels_are_what_was_asked_for_and_differs(
    configurations: list[dict[str, object]], expected: list[str]
) -> None:
    assert labels_of(*configurations) == expected


def test_a_learning_rate_that_follows_from_model_and_optimizer_is_never_said() -> None:
    every = [{"model": model, "optimizer": name} for model in ("linear", "cnn") for name in ("sgd", "adam")]
    rates = {run_of(one, "0").config["optimizer"]["lr"] for one in every}
    assert len(rates) > 1
    assert not any("lr" in label for label in labels_of(*every))
    assert len(set(labels_of(*every))) == 4


def test_a_learning_rate_that_was_asked_for_is_said_of_all() -> None:
    assert labels_of({}, {"model": "cnn", "optimizer.lr": 0.5}) == ["linear, lr 1e-4", "CNN, lr 0.5"]


@pytest.mark.parametrize("model", ["linear", "linear_relu", "cnn", "resnet18"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_configuration_as_composed_overrides_nothing(model: str, optimizer: str) -> None:
    config = run_of({"model": model, "optimizer": optimizer}, "0").config
    chosen = {"model": model, "optimizer": optimizer}
    usual = {"model": "linear", "optimizer": "sgd", "data.split.strategy": "random"}  # of phantoms
    expected = {
        key: value for key, value in (chosen | {"data.split.strategy": "patient"}).items() if value != usual[key]
    }
    assert overrides(config) == expected


def test_what_is_usual_of_something_unknown_is_what_is_usual_of_all() -> None:
    for name in ("nothing", "../config", "", "a/b", "no\0thing"):
        assert usual_settings(name, name, name)["epochs"] == usual_settings("linear", "sgd", "phantom")["epochs"]


def test_a_name_that_was_given_wins() -> None:
    runs = {"a": run_of({"epochs": 30}, "a", "mine"), "b": run_of({}, "b"), "c": run_of({"model": "cnn"}, "c")}
    assert list(label_configurations(runs, STUDY).values()) == ["mine", "linear", "CNN"]


def test_namesakes_are_told_apart_by_what_differs() -> None:
    runs = {
        "a": run_of({"optimizer.lr": 0.001}, "a", "mine"),
        "b": run_of({}, "b", "mine"),
        "c": run_of({"model": "cnn"}, "c"),
        "d": run_of({"epochs": 30}, "d", "other"),
    }
    assert list(label_configurations(runs, STUDY).values()) == ["mine, lr 1e-3", "mine, lr 1e-4", "CNN", "other"]


def test_rows_of_the_study_are_called_as_the_study_calls_them(tmp_path: Path) -> None:
    write_study(tmp_path, rows=["20"], seeds=[0])
    (comparison,) = compared(tmp_path)
    row = STUDY.row("20")
    assert list(comparison.labels.values()) == [f"20: {row.title}"]


def test_what_was_split_otherwise_is_said() -> None:
    data = {"data.split.folds": 5, "data.split.strategy": "patient"}
    runs = {"a": run_of({}, "a"), "b": run_of({}, "b")}
    split = {**runs["b"].config["data"]["split"], "folds": 5}
    changed = {**runs["b"].config, "data": {**runs["b"].config["data"], "split": split}}
    runs["b"] = run_of({}, "b", config=changed)
    assert list(label_configurations(runs, STUDY).values()) == ["one split", "5 folds"]
    assert dict(flatten_settings(changed))["data.split.folds"] == data["data.split.folds"]


VALUES: dict[str, list[object]] = {
    "model": ["linear", "cnn"],
    "optimizer": ["sgd", "adam"],
    "optimizer.lr": [1e-4, 1e-3],
    "epochs": [10, 30],
    "batch_size": [32, 64],
    "loss.pos_weight": [None, 0.37],
    "model.hidden": [10, 20],
    "precision": ["float32", "bfloat16"],
    "deterministic": [True, False],
    "augment.flip": [0.0, 0.5],
    "early_stopping.patience": [None, 3],
    "schedule.warmup_epochs": [0, 2],
}
SOME_SETTINGS = st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in VALUES.items()})


@given(st.lists(st.tuples(SOME_SETTINGS, st.sampled_from([None, None, "mine", "cnn", "CNN"])), min_size=1, max_size=8))
@settings(deadline=None, max_examples=60)
def test_no_two_configurations_are_called_alike_and_none_nothing(
    drawn: list[tuple[dict[str, object], str | None]],
) -> None:
    runs = {str(number): run_of(one, f"{number:x}" * 10, name) for number, (one, name) in enumerate(drawn)}
    labels = label_configurations(runs, STUDY)
    assert len({label.casefold() for label in labels.values()} | {""}) >= len(set(labels.values())) == len(labels)
    assert all(label.strip() for label in labels.values())
    if not any("optimizer.lr" in one for one, _ in drawn):
        assert not any(re.search(r"\blr\b", label) for label in labels.values())
    assert list(label_configurations(dict(reversed(runs.items())), STUDY)) == list(reversed(runs))


def test_configurations_that_nothing_tells_apart_have_their_ids() -> None:
    runs = {
        "one": run_of({}, "abcdef0123"),
        "other": run_of({}, "abcdef9876"),  # the same to the sixth digit
        "third": run_of({}, "0000000000", "linear (abcdef)"),
    }
    assert len(set(label_configurations(runs, STUDY).values())) == 3


def test_configurations_that_were_computed_elsewhere_are_told_by_engine_and_device() -> None:
    def computed(run_id: str, engine: str, device: str) -> CollectedRun:
        return run_of({}, run_id, metrics={"device": device, "engine": engine, "collapsed": False})

    gram, pixel = computed("a" * 10, "gram", "cpu (2 threads)"), computed("b" * 10, "pixel", "cpu (1 threads)")
    gpu, twin = computed("c" * 10, "pixel", "cuda (NVIDIA H200)"), computed("d" * 10, "pixel", "cuda:1")
    assert list(label_configurations({"one": pixel, "two": gpu}, STUDY).values()) == ["linear (cpu)", "linear (cuda)"]
    labels = label_configurations({"one": gram, "two": pixel, "three": gpu, "four": twin}, STUDY)
    assert list(labels.values()) == [
        "linear (gram engine, cpu)",
        "linear (pixel engine, cpu)",
        "linear (pixel engine, cuda) (cccccc)",
        "linear (pixel engine, cuda) (dddddd)",
    ]


def test_hostile_settings_harm_no_page(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>|`$x$\x1b[31m\n# no heading"
    Maker(tmp_path, IMAGES, SPLITS, {"model.hidden": hostile}).write(range(2))
    Maker(tmp_path, IMAGES, SPLITS, {"optimizer.lr": 0.5, "precision": hostile}, tag=1).write(range(2))
    Maker(tmp_path, IMAGES, SPLITS, {hostile: 3}, tag=2).write(range(2))
    for tag, model in enumerate(("", hostile), 3):
        (files,) = Maker(tmp_path, IMAGES, SPLITS, tag=tag).write([tag])
        config = json.loads(files.config.read_text())
        config["model"]["name"] = model
        config["name"] = None
        files.config.write_text(json.dumps(config))
        note_checksums(files)
    write_report(tmp_path, tmp_path / "report")
    for path in (tmp_path / "report").rglob("*"):
        if path.suffix in (".html", ".md", ".tex"):
            text = path.read_text("utf-8").partition('<script>\n"use strict"')[0]
            assert "<script>alert" not in text, path
            assert "\x1b" not in text, path
            assert "\n# no heading" not in text, path


@given(st.text(max_size=12), st.text(max_size=12))
def test_any_labels_can_be_sorted(one: str, other: str) -> None:
    assert sorted(map(natural_order, [one, other])) == sorted(map(natural_order, [other, one]))
    assert sorted(["lr 10", "lr 9", "lr 1e-3", "CNN"], key=natural_order) == ["CNN", "lr 1e-3", "lr 9", "lr 10"]


# The reference


def compared(root: Path, **options: Any) -> tuple[Comparison, ...]:
    (data_set,) = compare(collect(root, STUDY, Reporter()), ReportOptions(**options))
    return data_set.comparisons


def reference_of(runs: Mapping[str, CollectedRun], baseline: str | None = None) -> tuple[str, str]:
    groups = {name: [run] for name, run in runs.items()}
    return choose_reference(groups, label_configurations(runs, STUDY), baseline)


def test_the_reference_has_the_fewest_settings_changed_then_is_the_oldest() -> None:
    runs = {
        "plain": run_of({}, "a", started="2026-03-01T00:00:00+00:00"),
        "changed": run_of({"epochs": 30}, "b", started="2026-01-01T00:00:00+00:00"),
        "cnn": run_of({"model": "cnn"}, "c", started="2026-01-01T00:00:00+00:00"),
    }
    assert reference_of(runs) == ("plain", "the configuration with the fewest settings changed")
    del runs["plain"]
    runs["late"] = run_of({"batch_size": 64}, "d", started="2026-02-01T00:00:00+00:00")
    runs["cnn"] = run_of({"model": "cnn"}, "c", started="2025-12-31T23:59:59+00:00")
    assert reference_of(runs) == ("cnn", "the oldest of those with the fewest settings changed")
    runs["unknown"] = run_of({"batch_size": 16}, "e")  # no start is no early start
    assert reference_of(runs)[0] == "cnn"


def test_the_age_of_a_configuration_is_that_of_its_first_run() -> None:
    groups = {
        "one": [run_of({"epochs": 5}, "a", started="2026-02-01"), run_of({"epochs": 5}, "a", started="2026-01-01")],
        "other": [run_of({"epochs": 6}, "b", started="2026-01-15")],
    }
    assert choose_reference(groups, {"one": "one", "other": "other"}, None).name == "one"


@given(st.permutations(range(4)), st.integers(0, 3))
@settings(deadline=None)
def test_no_result_chooses_the_reference(order: list[int], collapsed: int) -> None:
    every: list[dict[str, object]] = [
        {"epochs": 30},
        {"model": "cnn"},
        {"batch_size": 8},
        {"epochs": 5, "batch_size": 8},
    ]
    runs = {
        f"{number}": run_of(
            one,
            f"{number}",
            started=f"2026-0{4 - number}-01",
            metrics={"test": {"accuracy": order[number] / 4}, "val": {"accuracy": order[number] / 4}}
            | {"device": "cpu", "engine": "pixel", "collapsed": number == collapsed},
        )
        for number, one in enumerate(every)
    }
    assert reference_of({str(number): runs[str(number)] for number in order})[0] == "2"


def test_results_that_change_places_leave_the_reference_where_it_is(tmp_path: Path) -> None:
    chosen = []
    for number, gains in enumerate([(0.2, 1.0, 2.0), (2.0, 1.0, 0.2), (1.0, 2.0, 0.2)]):
        root = tmp_path / f"{number}"
        for tag, (model, gain) in enumerate(zip(("linear", "cnn", "linear_relu"), gains, strict=True)):
            Maker(root, IMAGES, SPLITS, {"model": model}, gain=gain, tag=tag).write(range(2))
        (one,) = compared(root)
        chosen.append((one.reference.label, [standing.label for standing in one.standings]))
    assert chosen == [("linear", ["linear", "CNN", "linear + ReLU"])] * 3


def test_a_reference_is_asked_for_by_label_name_or_id(tmp_path: Path) -> None:
    Maker(tmp_path, IMAGES, SPLITS).write(range(2))
    Maker(tmp_path, IMAGES, SPLITS, {"epochs": 30}, tag=1).write(range(2))
    Maker(tmp_path, IMAGES, SPLITS, {"model": "cnn", "epochs": 30}, "mine", tag=2).write(range(2))
    (by_rule,) = compared(tmp_path)
    assert by_rule.reference.label == "10 epochs"
    for one in by_rule.standings:
        run_id = one.name.rpartition("-")[2]
        for text in (one.label, one.label.upper(), one.name, run_id, run_id[:4], run_id[:7].upper()):
            (asked,) = compared(tmp_path, baseline=text)
            assert (asked.reference.name, asked.why_reference) == (one.name, "as asked for")
            assert asked.best == by_rule.best
    (asked,) = compared(tmp_path, baseline="mine")
    difference, opposite = ({one.label: one.differences for one in each.standings} for each in (asked, by_rule))
    assert difference["10 epochs"]["accuracy"].mean == pytest.approx(-opposite["mine"]["accuracy"].mean)
    with pytest.raises(
        UserError, match=r"^--baseline=linear: several configurations are called so: 10 epochs \(linear-"
    ):
        compared(tmp_path, baseline="linear")
    said = r"^--baseline=none: no configuration is called so; valid are 10 epochs \(linear-\w{10}\); 30 .*mine \(mine-"
    with pytest.raises(UserError, match=said):
        compared(tmp_path, baseline="none")
    with pytest.raises(UserError, match="no configuration is called so"):
        compared(tmp_path, baseline=by_rule.reference.name.rpartition("-")[2][:3])  # too few digits of an id
    with pytest.raises(UserError, match="no configuration is called so"):
        compared(tmp_path, baseline="")


def test_two_to_put_side_by_side_are_asked_for_by_label_name_or_id(tmp_path: Path) -> None:
    Maker(tmp_path, IMAGES, SPLITS).write(range(2))
    Maker(tmp_path, IMAGES, SPLITS, {"epochs": 30}, tag=1).write(range(2))
    Maker(tmp_path, IMAGES, SPLITS, {"model": "cnn", "epochs": 30}, "mine", tag=2).write(range(2))
    (by_rule,) = compared(tmp_path)
    for first, second in permutations(by_rule.standings, 2):
        ways = [(one.label, one.name, one.name.rpartition("-")[2]) for one in (first, second)]
        for texts in zip(*ways, strict=True):
            options = ReportOptions(pair=texts)
            pair = compare(collect(tmp_path, STUDY, Reporter()), options)[0].comparisons[0].pair
            assert pair is not None
            assert (pair.first.name, pair.second.name) == (first.name, second.name)


def test_a_row_of_the_study_is_asked_for_by_its_number_too(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=range(2), rows=["20", "21b"], names="patient{}.png")
    (by_rule,) = compared(tmp_path)
    for one in by_rule.standings:
        assert one.short == f"model {one.row}"
        for text in (one.label, one.short, str(one.row), one.name):
            (asked,) = compared(tmp_path, baseline=text)
            assert asked.reference.name == one.name


def test_ids_that_begin_alike_mean_several() -> None:
    groups = {"a-abcdef0000": [run_of({}, "abcdef0000")], "b-abcdef1111": [run_of({}, "abcdef1111")]}
    labels = {name: name for name in groups}
    assert meant_by("abcd", groups, labels) == list(groups)
    assert meant_by("abcdef1", groups, labels) == ["b-abcdef1111"]
    assert meant_by("abc", groups, labels) == []


def test_a_run_of_several_splits_is_meant_by_any_of_its_ids(tmp_path: Path) -> None:
    written = Maker(tmp_path, IMAGES, make_splits(IMAGES, 2), {"epochs": 30}).write(range(2))
    Maker(tmp_path, IMAGES, make_splits(IMAGES, 2), tag=1).write(range(2))
    for files in written:
        (one,) = compared(tmp_path, baseline=files.path.parent.name)
        assert one.reference.label == "30 epochs"


def test_a_reference_may_be_there_at_one_size_only(tmp_path: Path) -> None:
    Maker(tmp_path, IMAGES, SPLITS).write(range(2))
    Maker(tmp_path, IMAGES, SPLITS, image_size=32).write(range(2))
    Maker(tmp_path, IMAGES, SPLITS, {"model": "cnn"}, image_size=32, tag=1).write(range(2))
    large, small = compared(tmp_path, baseline="CNN")
    assert (large.reference.label, small.reference.label) == ("linear", "CNN")


def test_the_command_says_on_one_line_what_is_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Maker(tmp_path, IMAGES, SPLITS).write(range(2))
    answer = call_inside(cli.report, ["cxr-report", str(tmp_path), "--baseline", "CNN"], monkeypatch, capsys)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert answer.err.startswith("cxr-report: --baseline=CNN: no configuration is called so; valid are linear (linear-")
    assert not (tmp_path / "report").exists()
    answer = call_inside(cli.report, ["cxr-report", str(tmp_path), "--baseline", "linear"], monkeypatch, capsys)
    assert (answer.code, answer.err) == (0, "")
    assert "(as asked for)" in (tmp_path / "report" / "report.md").read_text("utf-8")

"""Study files: what is read from them, and what is said of a mistake in one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Answer, call_inside
from cxr_runner import cli
from cxr_runner.artifacts.rundir import find_runs
from cxr_runner.base.errors import UserError
from cxr_runner.config.compose import compose
from cxr_runner.config.identity import to_dict
from cxr_runner.report.compare.claims.image_numbers import IMAGE_NUMBERS
from cxr_runner.report.compare.claims.run_numbers import _OF_CURVES
from cxr_runner.study import Study, load_study, match_row
from cxr_runner.study.claims import STATISTICS
from cxr_runner.study.draft import draft_study
from cxr_runner.study.errata import recovered_correct
from cxr_runner.study.grid import plan
from cxr_runner.study.recovery import Evaluation, Reported, recover
from cxr_runner.study.study_file import packaged_studies, parse_study
from study_trees import write_study

SECOND = load_study("bacterial_viral")
FILE = """schema: 1
title: A ward
data: {image_size: 32, settings: {data.split.strategy: patient}, folder: {data.positive: sick}}
runs: {seeds: 2}
conditions:
  epochs: 3
rows:
  - id: plain
    settings: {model: linear, optimizer.lr: 1e-3}
  - {id: 2, experiment: table1_16, settings: {model.hidden: 4}}
definitions:
  - {id: auroc, name: AUROC, says: As usual., because: So., margin: 0.01}
claims:
  - id: better
    rows: [plain, 2]
    says: The second is better.
    conditions:
      - {statistic: auroc, expect: higher, pairs: [[plain, "2"]]}
"""


def said_of(text: str) -> str:
    with pytest.raises(UserError) as error:
        parse_study(text, "ward.yaml")
    return str(error.value)


def changed(old: str, new: str) -> str:
    assert old in FILE
    return FILE.replace(old, new, 1)


@pytest.fixture
def cxr_study(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    return lambda *arguments: call_inside(cli.study, ["cxr-study", *arguments], monkeypatch, capsys)


def test_rows_are_settings_or_experiment_files_and_else_the_conditions_or_defaults() -> None:
    study = parse_study(FILE, "here/ward.yaml")
    plain, second = study.rows
    assert (study.name, plain.id, second.id, second.title) == ("ward", "plain", "2", "CNN, 4 filters 3x3, weighted")
    assert plain.arguments == ("name=plain", "model=linear", "optimizer=sgd", "epochs=3", "optimizer.lr=0.001")
    assert second.arguments == ("experiment=table1_16", "epochs=3", "model.hidden=4")
    assert (plain.epochs, plain.lr, plain.batch_size, plain.layers, second.pos_weight) == (3, 1e-3, 32, 2, 0.37)
    for row in study.rows:
        assert match_row(to_dict(compose(list(row.arguments))[0]), study) == row.id
        assert match_row(to_dict(compose([*row.arguments, "augment.flip=0.5"])[0]), study) is None
        assert match_row(to_dict(compose([*row.arguments, "epochs=10"])[0]), study) is None
    assert (study.runs.seeds, study.runs.settings, study.runs.folder) == (
        (2, ("data.split.strategy=patient",), ("data.positive=sick",))
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("schema: 1", "schema: 2", "line 1: schema=2: this version of cxr_runner reads study files of schema 1"),
        ("schema: 1\n", "", "line 1: schema is missing; this version of cxr_runner reads study files of schema 1"),
        ("model: linear", "model: huge", "line 9: rows.settings.model: there is no model=huge"),
        (
            "model: linear,",
            "model: linear, model.kernel_size: 3,",
            "line 9: rows.settings.model.kernel_size: model.kernel_size is no setting of model=linear and "
            "optimizer=sgd; valid are model.name, model.layers, model.hidden",
        ),
        ("table1_16, settings: {model.hidden: 4}", "nothing", "line 10: rows.experiment=nothing: no such experiment"),
        ("id: 2,", "id: plain,", "line 10: rows: id plain stands twice, first in line 8"),
        ("    says: The second is better.\n", "", "line 14: claims: says is missing"),
        ("expect: higher", "expect: hgiher", "line 18: claims.conditions.expect=hgiher: valid are 'higher', 'lower'"),
        ("[[plain, ", "[[plian, ", "line 18: claims.conditions.pairs: there is no row plian; valid are plain, 2"),
        ("statistic: auroc", "statistic: f1", "line 18: claims.conditions.statistic: there is no definition f1"),
        ("{id: auroc", "{id: auprc", "line 12: definitions.id=auprc: valid are slowness, train_level"),
        ("{id: auroc", "{id: val_level", "line 12: definitions.id=val_level: needs parameters {last}"),
        ("runs: {seeds", "runs: {sedes", "line 4: runs.sedes: there is no such key here; did you mean seeds?"),
        ("seeds: 2", "seeds: none", "line 4: runs.seeds=none: must be a whole number"),
        ("  epochs: 3", "  epohcs: 3", "line 6: conditions.epohcs: no row has such a setting"),
        ("conditions:\n", "conditions: &all\n  augment: *all\n", "line 5: &all: anchors and aliases are not read"),
        ("A ward", "!!python/name:os.system A ward", "line 2: tag:yaml.org,2002:python/name:os.system: tags are not"),
        ("runs: {seeds: 2}", "title: Again", "line 4: title stands twice, first in line 2"),
        ("runs: {seeds: 2}", "\truns: {seeds: 2}", "line 4: begins with a tab, YAML is indented with spaces"),
        ("runs: {seeds: 2}", f"runs: {'[' * 30}", "line 4: nested more than 20 deep"),
    ],
)
def test_a_mistake_is_named_with_its_line(old: str, new: str, said: str) -> None:
    assert said_of(changed(old, new)).startswith(f"ward.yaml, {said}")


@pytest.mark.parametrize("value", ["-1", "fast"])
def test_a_value_that_cxr_run_would_refuse_is_refused_in_a_file_of_the_user_s(
    value: str, cxr_study: Callable[..., Answer]
) -> None:
    Path("ward.yaml").write_text(changed("1e-3", value), "utf-8")
    valid = "must be above 0" if value == "-1" else "must be a number"
    said = f"cxr-study: ward.yaml, line 8: rows: row plain: optimizer.lr={value}: {valid}\n"
    assert cxr_study("check", "ward.yaml") == Answer(2, "", said)
    assert cxr_study("ward.yaml") == Answer(2, "", said)
    assert [path.name for path in Path().iterdir()] == ["ward.yaml"]


def test_a_study_that_there_is_not_is_answered_with_those_that_there_are(cxr_study: Callable[..., Answer]) -> None:
    valid = "no such study; valid are bacterial_viral, copetti and the path of a file"
    assert cxr_study("check", "other").err == f"cxr-study: other: {valid}\n"
    assert cxr_study("check", ".").err == "cxr-study: .: cannot be read (is not a regular file)\n"
    Path("bytes.yaml").write_bytes(b"title: \xff")
    assert cxr_study("bytes.yaml").err.startswith("cxr-study: bytes.yaml: is not text in UTF-8")
    assert cxr_study("check").err.startswith("cxr-study: one study is needed, given: check;")


@pytest.mark.parametrize("name", sorted({*packaged_studies()} - {"copetti"}))  # whose rows are experiment files
def test_the_studies_of_the_package_have_rows_that_cxr_run_makes(name: str) -> None:
    study = load_study(name)
    for row in study.rows:
        assert match_row(to_dict(compose(list(row.arguments))[0]), study) == row.id


def test_every_statistic_of_a_study_file_is_computed() -> None:
    assert {*IMAGE_NUMBERS, *_OF_CURVES, "converged", "overfits", "seconds"} == STATISTICS.keys()


def test_the_second_study_claims_four_things_of_six_rows_and_publishes_nothing() -> None:
    assert [row.id for row in SECOND.rows if row.family == "cnn"] == ["cnn", "cnn_weighted"]
    assert len(SECOND.rows) == 6
    assert not SECOND.published_rows()
    assert [one.because != "" for one in SECOND.claims] == [True] * 4
    groups = plan(SECOND.runs.preset, SECOND.runs.seeds, SECOND.image_size, SECOND)
    assert [(len(group.rows), group.seeds, group.image_size) for group in groups] == [(4, 3, 224), (2, 3, 224)]


def test_a_file_written_from_runs_has_their_configurations_as_rows(
    elsewhere: Path, cxr_study: Callable[..., Answer]
) -> None:
    write_study(elsewhere / "outputs", rows=["0", "11", "20", "24b"], seeds=range(2))
    assert cxr_study("new", "ward") == (
        Answer(0, "ward.yaml: 4 rows, of the runs below outputs; state claims in it before you look\n", "")
    )
    study = load_study("ward.yaml")
    runs = find_runs(elsewhere / "outputs")
    assert [match_row(run.config, study) for run in runs] == [run.name for run in runs]
    assert (study.image_size, study.runs.seeds, [row.epochs for row in study.rows]) == (64, 2, [10, 10, 50, 60])
    with_claim = Path("ward.yaml").read_text("utf-8").replace("claims: []\n", "claims:\n").replace("\n#  ", "\n  ")
    (claim,) = parse_study(with_claim, "ward.yaml").claims  # the example in the file is one
    assert claim.rows == ("table1_00", "table1_11")
    assert cxr_study("new", "ward.yaml").err.startswith("cxr-study: ward.yaml: is there already")
    assert cxr_study("new", "../ward").err.startswith("cxr-study: ../ward: a study's name is made of letters")
    assert cxr_study("new", "none", "--outputs", "nowhere").err.startswith("cxr-study: --outputs=nowhere: there is no")


def test_nothing_is_written_where_no_run_is_finished(elsewhere: Path, cxr_study: Callable[..., Answer]) -> None:
    Path("outputs").mkdir()
    assert cxr_study("new", "ward") == Answer(2, "", "cxr-study: there is no finished run to make a study of\n")
    assert not Path("ward.yaml").exists()


def test_runs_of_one_name_and_several_configurations_are_rows_of_several_names(elsewhere: Path) -> None:
    for lr in (1e-4, 1e-3):
        write_study(elsewhere / "outputs", rows=["0"], seeds=[0], lr=lr)
    study = parse_study(draft_study("ward", find_runs(elsewhere / "outputs")), "ward.yaml")
    assert [(row.id, row.lr) for row in study.rows] == [("table1_00", 1e-4), ("table1_00_2", 1e-3)]


def of_paper(accuracy: float, by_batch: bool) -> Study:
    key = "accuracy_batch_mean" if by_batch else "accuracy"
    text = f"""schema: 1
title: A paper
data: {{image_size: 224, test: {{positives: 390, negatives: 234}}}}
rows: [{{id: A, title: Net A}}]
published: [{{row: A, accuracy: {accuracy}, precision: 0.91, recall: 0.94, f1: 0.92}}]
metrics: [{{key: {key}, published: accuracy, percent: yes, digits: 3}}]
"""
    return parse_study(text, "paper.yaml")


def test_counts_are_recovered_by_the_averaging_that_a_file_states() -> None:
    reported = Reported(0.904, 0.91, 0.94, 0.92, 3, 2)
    pooled = {one.counts.correct for one in recover(reported, Evaluation(390, 234, 624))}
    assert pooled == {recovered_correct("A", of_paper(90.4, by_batch=False))} == {564}
    by_batch = {one.counts.correct for one in recover(reported, Evaluation(390, 234, 32))}
    assert recovered_correct("A", of_paper(90.4, by_batch=True)) == (by_batch.pop() if len(by_batch) == 1 else None)
    assert recovered_correct("A", of_paper(99.1, by_batch=False)) is None


@pytest.mark.usefixtures("own_process")
def test_rows_of_which_none_is_linear_are_forecast_too(elsewhere: Path, cxr_study: Callable[..., Answer]) -> None:
    rows = (
        "rows:\n  - {id: net, settings: {model: custom, model.target: 'plainest:Net', model.arguments: {width: 2}}}\n"
    )
    head = "schema: 1\ntitle: Nets\ndata: {image_size: 16}\nruns: {seeds: 1}\n"
    (elsewhere / "nets.yaml").write_text(head + rows, "utf-8")
    text = "from torch import nn\n\n\ndef Net(width):\n"
    text += "    return nn.Sequential(nn.Conv2d(1, width, 16), nn.Flatten(), nn.Linear(width, 1), nn.Flatten(0))\n"
    (elsewhere / "plainest.py").write_text(text, "utf-8")
    answer = cxr_study("nets.yaml", "--forecast", "data.num_images=40")
    assert (answer.code, answer.err) == (0, "")
    assert "forecast" in answer.out
    assert not (elsewhere / "outputs").exists()

"""The experiment files: one for every row of the study, and what the command says when there is none."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_module

from conftest import Answer
from cxr_runner.config.identity import to_dict
from cxr_runner.config.schema import RunConfig
from cxr_runner.config.validation import from_hydra
from cxr_runner.study import Row, load_study, match_row

FOLDER = Path(__file__).parents[1] / "conf" / "experiment"
MODELS = sorted(path.stem for path in FOLDER.with_name("model").glob("*.yaml"))
STUDY = load_study()
ROWS = STUDY.rows
TINY = ("data.num_images=40", "data.image_size=16", "epochs=1", "progress=none", "plots=never")

Command = Callable[..., Answer]


def composed(*overrides: str) -> RunConfig:
    with initialize_config_module("cxr_runner.conf", version_base="1.3"):
        return from_hydra(compose("config", [*overrides]))


def test_there_is_one_file_for_every_row_and_no_other() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == sorted(row.experiment for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.experiment)
def test_the_experiment_file_is_the_row_of_the_study(row: Row) -> None:
    run = composed(f"experiment={row.experiment}")
    assert match_row(to_dict(run), STUDY) == row.id
    assert run.name == row.experiment


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.experiment)
def test_the_header_says_which_row_what_was_published_and_the_command(row: Row) -> None:
    package, title, published, command, *_ = (FOLDER / f"{row.experiment}.yaml").read_text("utf-8").splitlines()
    assert package == "# @package _global_"
    assert title == f"# Table {row.table}, model {row.id}: {row.title}."
    assert command == f"#   cxr-run experiment={row.experiment}"
    if row.published is None:
        assert published.startswith("# Published: ")
    else:
        values = row.published
        assert published == (
            f"# Published (Fig. {values.figure}): accuracy {values.accuracy} % (mean over batches), "
            f"precision {values.precision:.2f}, recall {values.recall:.2f}, F1 {values.f1:.2f}."
        )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.experiment)
def test_the_files_hold_nothing_but_what_differs_from_the_defaults(row: Row) -> None:
    content = yaml.safe_load((FOLDER / f"{row.experiment}.yaml").read_text("utf-8"))
    chosen = [override.removeprefix("override /") for entry in content.pop("defaults", []) for override in entry]
    names = {group: getattr(composed(f"experiment={row.experiment}"), group).name for group in chosen}
    defaults = to_dict(composed(*(f"{group}={name}" for group, name in names.items())))
    assert set(names.values()).isdisjoint({"linear", "sgd"})
    for key, value in content.items():
        if isinstance(value, dict):
            assert all(defaults[key][inner] != wanted for inner, wanted in value.items())
        else:
            assert defaults[key] != value


def test_the_command_line_overrides_the_experiment() -> None:
    run = composed("experiment=table2_25b", "epochs=3", "optimizer.lr=0.5")
    assert (run.epochs, run.optimizer.lr, run.batch_size, run.model.name) == (3, 0.5, 64, "cnn")


def test_the_configuration_of_an_experiment_is_shown(cxr_run: Command, elsewhere: Path) -> None:
    answer = cxr_run("--cfg", "job", "experiment=table1_00")
    assert (answer.code, answer.err) == (0, "")
    assert yaml.safe_load(answer.out)["name"] == "table1_00"
    assert list(elsewhere.iterdir()) == []


def test_a_pattern_and_a_range_sweep_rows_and_seeds(cxr_run: Command, elsewhere: Path) -> None:
    answer = cxr_run("-m", "experiment=glob([*_00,*_01])", "seed=range(0,2)", *TINY)
    assert (answer.code, answer.err) == (0, "")
    runs = sorted(path.parent.as_posix().split("/")[-2:] for path in elsewhere.rglob("metrics.json"))
    assert [(name.split("-")[0], seed) for name, seed in runs] == [
        (name, f"seed={seed}") for name in ("table1_00", "table1_01") for seed in (0, 1)
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("experiment=tabel1_19", "experiment=tabel1_19: no such choice, did you mean table1_19?"),
        ("experiment=20b", "experiment=20b: no such choice, did you mean table2_20b?"),
        ("experiment=20", "experiment=20: no such choice, did you mean table1_20?"),
        ("-m experiment=5,6", "experiment=5: no such choice, did you mean table1_05?"),
        (
            "experiment=zebra",
            "experiment=zebra: no such choice, valid are table1_00 ... table2_25b, see cxr-run --help",
        ),
        (
            "-m experiment=glob(zebra*)",
            "experiment=glob(zebra*): fits no choice, valid are table1_00 ... table2_25b, see cxr-run --help",
        ),
        ("-m zebra=glob(*)", "zebra=glob(*): fits no choice, only a group of files has choices"),
        ("model=1", f"model=1: no such choice, valid are {', '.join(MODELS)}"),
    ],
)
def test_a_name_that_there_is_not_is_answered_in_one_line(cxr_run: Command, arguments: str, said: str) -> None:
    assert cxr_run(*arguments.split()) == Answer(2, "", f"cxr-run: {said}\n")

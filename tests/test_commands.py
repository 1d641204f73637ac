"""The commands that a report gives: those that made its runs, and those that make what is missing."""

import html
import json
import re
import shutil
from pathlib import Path

import pytest

from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.report.collect.tree import collect_runs
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.compare.training_setups import training_setups
from cxr_runner.report.missing import Missing
from cxr_runner.report.render.commands import Commands
from cxr_runner.report.write import write_report
from cxr_runner.study import load_study
from run_trees import write_run
from study_trees import STUDIED, write_study

SMALL = STUDIED | {"fingerprint": "a" * 16}


def runs_below(root: Path) -> DataSetRuns:
    (runs,), _ = collect_runs(root, load_study(), Reporter())
    return runs


def commands_below(root: Path) -> Commands:
    runs = runs_below(root)
    return Commands(runs, training_setups(runs))


def made(commands: Commands, *rows: str, seeds: int | None = None, overrides: tuple[str, ...] = ()) -> str:
    return commands.that_make([Missing(rows, seeds, overrides)])


def edit_configs(root: Path, pattern: str, **changes: object) -> None:
    for path in root.rglob(pattern):
        config = path / "config.yaml"
        config.write_text(json.dumps(json.loads(config.read_text().replace("1.0e-05", "1e-05")) | changes))


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs as ``make study`` leaves them: ten seeds under SGD, two under Adam, of the CNNs one, on smaller images."""
    root = tmp_path_factory.mktemp("laptop")
    write_study(root / "large", seeds=range(10), rows=["0", "20"], image_size=640)
    write_study(root / "large", seeds=range(2), rows=["17"], image_size=640)
    write_study(root / "small", seeds=[0], rows=["10", "22"], data=SMALL)
    return root


def test_the_page_gives_a_command_for_all_that_has_size_and_seeds_alike(laptop: Path, tmp_path: Path) -> None:
    write_report(laptop, tmp_path)
    said = re.search(r"<dt>Command</dt><dd>(.*?)</dd>", (tmp_path / "index.html").read_text("utf-8"))
    assert said is not None
    commands = [html.unescape(line) for line in re.findall("<code>(.*?)</code>", said[1])]
    assert commands == [
        "cxr-run -m experiment=table1_00,table1_20 seeds=10 data=phantom",
        "cxr-run -m experiment=table1_10,table1_22 seeds=1 data=phantom data.image_size=64",
        "cxr-run -m experiment=table1_17 seeds=2 data=phantom",
    ]
    for page in ("report.md", "claims.md"):
        lines = "".join(f"  - {command}\n" for command in commands)
        assert f"- Command:\n{lines}".rstrip() in (tmp_path / page).read_text("utf-8")
    assert all(line.count("cxr-run") <= 1 for line in (tmp_path / "report.md").read_text("utf-8").splitlines())


def test_what_is_missing_is_made_as_its_family_was(laptop: Path) -> None:
    assert made(commands_below(laptop), "1", "18", "19", "25", "11").splitlines() == [
        "cxr-run -m experiment=table1_01 seeds=10 data=phantom",
        "cxr-run -m experiment=table1_18 seeds=3 data=phantom",
        "cxr-run -m experiment=table1_19,table1_25,table1_11 seeds=1 data=phantom data.image_size=64",
    ]


def test_seeds_are_those_that_were_run_whether_they_diverged_or_not(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=range(4), rows=["0", "1"])
    write_study(tmp_path, seeds=[7], rows=["3"])
    write_study(tmp_path, seeds=[2, 3], rows=["4"])
    status = {"state": "failed", "error": "the loss is not finite in epoch 1", "diverged": True}
    (diverged,) = tmp_path.glob("runs/table1_00-*/seed=1")
    (diverged / "status.json").write_text(json.dumps(status))
    (gone,) = tmp_path.glob("runs/table1_01-*/seed=1")
    shutil.rmtree(gone)
    assert [command.split(" data=")[0].split(" ", 2)[2] for command in commands_below(tmp_path).that_trained()] == [
        "experiment=table1_00 seeds=4",
        "experiment=table1_01 seed=0,2,3",
        "experiment=table1_03 seed=7 seeds=1",
        "experiment=table1_04 seed=2 seeds=2",
    ]


def test_what_was_set_otherwise_than_by_default_is_given(tmp_path: Path) -> None:
    write_study(tmp_path, rows=["0", "1", "2", "3"])
    edit_configs(tmp_path, "table1_01*/seed=*", engine="pixel", device="auto")
    edit_configs(tmp_path, "table1_02*/seed=*", engine="auto", device="cuda:3", deterministic=False)
    edit_configs(tmp_path, "table1_03*/seed=*", engine=["gram; rm", 3], device=None)
    commands = commands_below(tmp_path)
    size = "data=phantom data.image_size=64"
    assert commands.that_trained() == [
        f"cxr-run -m experiment=table1_00 seeds=3 {size}",
        f"cxr-run -m experiment=table1_01 seeds=3 {size} engine=pixel",
        f"cxr-run -m experiment=table1_02 seeds=3 {size} device=cuda deterministic=false",
        f"cxr-run -m experiment=table1_03 seeds=3 {size} 'engine=[gram; rm,3]' device=null",
    ]
    assert made(commands, "4") == f"cxr-run -m experiment=table1_04 seeds=3 {size}"


def test_an_engine_is_kept_for_the_same_optimizer_and_gives_way_to_another(tmp_path: Path) -> None:
    write_study(tmp_path, rows=["0"])
    edit_configs(tmp_path, "table1_00*/seed=*", engine="gram")
    commands = commands_below(tmp_path)
    assert made(commands, "1").endswith("data.image_size=64 engine=gram")
    assert made(commands, "17").endswith("data.image_size=64")
    on_pixels = made(commands, "1", seeds=5, overrides=("engine=pixel",))
    assert on_pixels.endswith("seeds=5 data=phantom data.image_size=64 engine=pixel")


def test_runs_that_are_none_of_the_study_s_have_no_command(tmp_path: Path) -> None:
    write_run(tmp_path)
    commands = commands_below(tmp_path)
    assert commands.that_trained() == []
    assert made(commands, "0") == "cxr-run -m experiment=table1_00 seeds=3 data=phantom data.image_size=64"


def test_the_commands_ask_for_the_runs_that_they_are_of(laptop: Path) -> None:
    asked = set()
    for command in commands_below(laptop).that_trained():
        experiments, *others = command.removeprefix("cxr-run -m experiment=").split()
        for experiment in experiments.split(","):
            runs = compose([f"experiment={experiment}", *others])
            asked |= {(run.name, run.seed, run.data.image_size) for run in runs}
    trained = runs_below(laptop).runs.values()
    assert asked == {(run.name, run.seed, run.config["data"]["image_size"]) for run in trained}

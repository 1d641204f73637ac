import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors import safe_open

from conftest import Answer
from cxr_runner import cli
from cxr_runner.base.errors import RunFailedError, UserError
from cxr_runner.base.machine import describe_machine
from cxr_runner.config.validation import KEYS

TINY = ("data.num_images=40", "data.image_size=16", "epochs=1", "progress=none")
CARD = ("model=cnn", "optimizer=sgd", "loss.pos_weight=0.37")  # a command of the README

CONF = Path(__file__).parents[1] / "conf"

FILES = {
    *("config.yaml", "status.json", "data.json", "history.csv", "predictions.csv", "metrics.json"),
    *("model.safetensors", "curves.png", "confusion.png", "README.txt"),
}
OF_A_SPLIT = {
    *("accuracy", "accuracy_batch_mean", "precision", "recall", "specificity", "f1", "auroc", "auprc", "brier", "ece"),
    *("tp", "fp", "fn", "tn", "n"),
}

Command = Callable[..., Answer]


def run_dirs(outputs: Path) -> list[Path]:
    return sorted(outputs.glob("runs/*/seed=*"))


def read_json(path: Path) -> dict[str, object]:
    content = json.loads(path.read_text("utf-8"))
    assert isinstance(content, dict)
    return content


def states(outputs: Path) -> list[object]:
    return [read_json(path / "status.json")["state"] for path in run_dirs(outputs)]


def contents(run: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.iterdir()}


def test_the_command_of_the_readme_leaves_a_whole_run_directory(cxr_run: Command, elsewhere: Path) -> None:
    answer = cxr_run(*CARD, *TINY)
    assert (answer.code, answer.err) == (0, "")
    assert [path.name for path in elsewhere.iterdir()] == ["outputs"]
    assert [path.name for path in (elsewhere / "outputs").iterdir()] == ["runs", "samples"]
    (run,) = run_dirs(elsewhere / "outputs")
    assert re.fullmatch("cnn-[0-9a-f]{10}", run.parent.name)
    assert run.name == "seed=0"
    assert {path.name for path in run.iterdir()} == FILES

    config = yaml.safe_load((run / "config.yaml").read_text("utf-8"))
    assert (config["model"]["name"], config["optimizer"]["lr"], config["loss"]) == ("cnn", 0.01, {"pos_weight": 0.37})
    assert read_json(run / "status.json")["state"] == "done"
    history = pd.read_csv(run / "history.csv")
    assert ",".join(history) == "epoch,train_loss,train_accuracy,val_loss,val_accuracy,lr,seconds"
    assert history["epoch"].tolist() == [1]
    for picture in ("curves.png", "confusion.png"):
        assert (run / picture).read_bytes().startswith(b"\x89PNG")
    with safe_open(run / "model.safetensors", "np") as weights:
        assert {"block_1.0.weight", "block_2.2.bias", "classifier.1.weight"} < set(weights.keys())


def test_metrics_and_predictions_of_a_run_agree(cxr_run: Command, elsewhere: Path) -> None:
    cxr_run(*CARD, *TINY)
    (run,) = run_dirs(elsewhere / "outputs")
    metrics = json.loads((run / "metrics.json").read_text("utf-8"))
    assert {"train_seconds", "engine", "device", "versions", "data_fingerprint", "git_commit"} < set(metrics)
    assert metrics["machine"] == describe_machine()
    assert metrics["pos_weight"] == 0.37
    predictions = pd.read_csv(run / "predictions.csv")
    assert ",".join(predictions) == "split,name,patient,label,logit,probability"
    assert predictions["split"].unique().tolist() == ["val", "test"]
    assert np.allclose(predictions["probability"], 1 / (1 + np.exp(-predictions["logit"])))
    for split, rows in predictions.groupby("split"):
        assert set(metrics[split]) == OF_A_SPLIT
        right = (rows["logit"] > 0) == (rows["label"] == 1)
        assert metrics[split]["n"] == len(rows)
        assert metrics[split]["accuracy"] == pytest.approx(right.mean())


def test_a_finished_run_is_trained_again_only_by_force(cxr_run: Command, elsewhere: Path) -> None:
    cxr_run(*CARD, *TINY)
    (run,) = run_dirs(elsewhere / "outputs")
    before = contents(run)
    answer = cxr_run(*CARD, *TINY, "progress=lines")
    assert answer.code == 0
    assert "already done" in answer.out
    assert "epoch   1/1" not in answer.out
    assert contents(run) == before

    answer = cxr_run(*CARD, *TINY, "progress=lines", "force=true")
    assert answer.code == 0
    assert "epoch   1/1" in answer.out
    after = contents(run)
    assert all(after[name][0] > before[name][0] for name in FILES)
    for name in ("predictions.csv", "model.safetensors"):
        assert after[name][1] == before[name][1]


@pytest.mark.usefixtures("own_workers")
def test_a_sweep_trains_every_combination(cxr_run: Command, elsewhere: Path) -> None:
    answer = cxr_run("-m", "model=linear,linear_relu", "seed=0,1", *TINY)
    assert (answer.code, answer.err) == (0, "")
    runs = [(run.parent.name.split("-")[0], run.name) for run in run_dirs(elsewhere / "outputs")]
    assert runs == [(model, seed) for model in ("linear", "linear_relu") for seed in ("seed=0", "seed=1")]
    assert states(elsewhere / "outputs") == ["done"] * 4
    assert all(
        {path.name for path in run.iterdir()} == FILES | {"gram.safetensors"} for run in run_dirs(elsewhere / "outputs")
    )


def test_a_run_that_fails_does_not_stop_the_sweep(cxr_run: Command, elsewhere: Path) -> None:
    answer = cxr_run("-m", "optimizer.lr=1e30,1e-4,1e29", "engine=pixel", *TINY)
    assert answer.code == 1
    failed = [run for run in run_dirs(elsewhere / "outputs") if not (run / "metrics.json").exists()]
    assert sorted(states(elsewhere / "outputs")) == ["done", "failed", "failed"]
    *each, heading, first, second = answer.err.splitlines()
    assert len(each) == 2
    assert heading == "cxr-run: 2 problems in the sweep:"
    for line, lr in ((first, "1e+30"), (second, "1e+29")):
        assert re.search(r"the loss is not finite in epoch 1 \(train [\w.+-]{1,12}, val [\w.+-]{1,12}\)", line)
        assert f"now {lr}" in line
    for run in failed:
        assert str(run) in answer.err
        status = read_json(run / "status.json")
        assert "the loss is not finite" in str(status["error"])
        assert "\n" not in str(status["error"])


def test_a_bad_value_in_a_sweep_does_not_stop_it(cxr_run: Command, elsewhere: Path) -> None:
    answer = cxr_run("-m", "batch_size=0,8", *TINY)
    assert (answer.code, answer.err) == (2, "cxr-run: batch_size=0: must be at least 1\n")
    assert states(elsewhere / "outputs") == ["done"]


@pytest.mark.parametrize(
    "mistake",
    [
        ("data=folder", "data.root=/nowhere"),
        ("data=folder", "data.root={images}"),
        ("device=cuda:99",),
        ("epochs=0",),
    ],
    ids=["no folder", "images that cannot be read", "no such device", "a bad value"],
)
def test_a_mistake_is_one_line_however_many_runs_it_is_in(
    cxr_run: Command, elsewhere: Path, mistake: tuple[str, ...]
) -> None:
    for name in ("NORMAL/1.png", "PNEUMONIA/2.png"):
        image = elsewhere / "images" / name
        image.parent.mkdir(parents=True)
        image.write_bytes(b"no image")
    given = [argument.format(images=elsewhere / "images") for argument in mistake]
    answer = cxr_run("-m", "model=linear,cnn", "seeds=3", *given, "progress=none")
    assert answer.code == 2
    assert len(answer.err.splitlines()) == 1, answer.err


def test_data_that_cannot_be_opened_is_tried_once(cxr_run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from cxr_runner.experiment import shared_data

    tried, real = [], shared_data.open_images
    monkeypatch.setattr(shared_data, "open_images", lambda *given: tried.append(given) or real(*given))
    cxr_run("-m", "model=linear,cnn", "seeds=3", "data=folder", "data.root=/nowhere", "progress=none")
    assert len(tried) == 1


def test_a_failed_run_outweighs_a_bad_value(cxr_run: Command) -> None:
    answer = cxr_run("-m", "optimizer.lr=-1,1e30", "engine=pixel", *TINY)
    assert answer.code == 1
    assert "optimizer.lr=-1: must be above 0" in answer.err


@pytest.fixture
def run_experiment(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], list[object]]:
    """Make every run end by raising; returns the list of the runs that began."""

    def replace(error: BaseException) -> list[object]:
        begun: list[object] = []

        def fail(jobs: object, *_: object) -> dict[object, Exception]:
            begun.append(jobs)
            raise error

        monkeypatch.setattr("cxr_runner.experiment.sweep.train_stack", fail)
        return begun

    return replace


def test_a_mistake_of_the_program_shows_its_traceback_and_the_sweep_goes_on(
    cxr_run: Command, run_experiment: Callable[[BaseException], list[object]]
) -> None:
    begun = run_experiment(ZeroDivisionError("zebra"))
    answer = cxr_run("-m", "optimizer.lr=1e-4,1e-3", "model=cnn", *TINY)
    assert answer.code == 1
    assert len(begun) == 2
    assert "Traceback" in answer.err
    assert "cxr-run: unexpected ZeroDivisionError, a mistake in cxr_runner: zebra\n" in answer.err


def test_an_interruption_ends_the_whole_sweep(
    cxr_run: Command, run_experiment: Callable[[BaseException], list[object]]
) -> None:
    begun = run_experiment(KeyboardInterrupt())
    answer = cxr_run("-m", "optimizer.lr=1e-4,1e-3", "model=cnn", *TINY)
    assert answer.code == 130
    assert len(begun) == 1


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("data.root=/nope: no such folder"), 2, "cxr-run: data.root=/nope: no such folder\n"),
        (RunFailedError("the images here are not those of the leader"), 1, "cxr-run: the images here are not"),
        (KeyboardInterrupt(), 130, ""),
    ],
    ids=repr,
)
def test_a_helper_of_torchrun_ends_in_one_line_too(
    cxr_run: Command, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("cxr_runner.training.distributed.help_leader", fail)
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    answer = cxr_run("model=cnn")
    assert answer.code == code
    assert answer.err.startswith(said)
    assert len(answer.err.splitlines()) == bool(said)


# In a process of its own, where the shell that started the tests may have switched interruptions off.
INTERRUPTIBLE = """
import signal
from cxr_runner import cli
signal.signal(signal.SIGINT, signal.default_int_handler)
cli.run()
"""
# Everything that a checkpoint has to bring back, in epochs that take some hundredths of a second each.
DEMANDING = (
    *("model=cnn", "optimizer=adam", "schedule.name=cosine", "augment.flip=0.5", "early_stopping.restore_best=true"),
    *("data.num_images=40", "data.image_size=16", "batch_size=8", "epochs=40"),
)


def test_an_interrupted_run_goes_on_and_ends_as_if_nothing_had_happened(cxr_run: Command, elsewhere: Path) -> None:
    cut_off = (*DEMANDING, "progress=lines", "outputs=cut_off")
    command = [sys.executable, "-c", INTERRUPTIBLE, *cut_off]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.startswith("epoch ") for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "cxr-run: interrupted; the same command goes on from the last checkpoint\n"
    (run,) = run_dirs(elsewhere / "cut_off")
    status = read_json(run / "status.json")
    assert (status["state"], status["error"]) == ("interrupted", "interrupted")
    assert not (run / "metrics.json").exists()

    answer = cxr_run(*cut_off)
    assert answer.code == 0
    assert re.search(r"resuming after epoch [1-9]", answer.out)
    assert "epoch   1/40" not in answer.out
    assert {path.name for path in run.iterdir()} == FILES
    assert states(elsewhere / "cut_off") == ["done"]

    assert cxr_run(*DEMANDING, "progress=none", "outputs=whole").code == 0
    (whole,) = run_dirs(elsewhere / "whole")
    for name in ("predictions.csv", "model.safetensors"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()
    histories = [pd.read_csv(path / "history.csv").drop(columns="seconds") for path in (run, whole)]
    pd.testing.assert_frame_equal(*histories, check_exact=True)


# Runs a command and says which heavy libraries it imported.
IMPORTS = """
import sys
from cxr_runner import cli
command = getattr(cli, sys.argv[1])
sys.argv[:2] = [f"cxr-{sys.argv[1]}"]
try:
    command()
finally:
    print([name for name in ("torch", "torchvision", "datasets", "matplotlib") if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("run --help", 0, "model: cnn, custom, linear, linear_relu, logistic, resnet18, torchvision"),
        ("run --cfg job model=cnn", 0, "lr: 0.01"),
        ("run model=cnn --cfg job epochs=3", 0, "lr: 0.01"),
        ("run model=cnn --help", 0, "kernel_size: 3"),
        ("run data.title=胸片 epochs=0", 2, "cxr-run: data.title=胸片: not a key of the chosen data"),
        ("run -sc install=bash", 0, "complete -o nospace -o default -F hydra_bash_completion cxr-run"),
        ("run -sc query=bash", 0, "model=cnn model=custom model=linear model=linear_relu model=logistic"),
        ("run epochs=0", 2, "cxr-run: epochs=0: must be at least 1"),
        ("run model=zebra", 2, "cxr-run: model=zebra: no such choice"),
        ("report --help", 0, "usage: cxr-report"),
        ("report empty", 2, "cxr-report: "),
    ],
)
def test_what_needs_no_training_imports_no_torch(elsewhere: Path, arguments: str, code: int, said: str) -> None:
    completion = {"COMP_LINE": "cxr-run model=", "COMP_POINT": "14"}
    process = subprocess.run(
        [sys.executable, "-c", IMPORTS, *arguments.split()],
        capture_output=True,
        text=True,
        env=os.environ | completion,
        timeout=60,
    )
    *complaint, imported = process.stderr.splitlines()
    assert imported == "[]"
    assert process.returncode == code
    assert said in process.stdout + process.stderr
    assert len(complaint) == (code != 0)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("seeds", ["0", "99999999999"])
def test_the_study_has_as_many_seeds_as_cxr_run_allows(elsewhere: Path, seeds: str) -> None:
    command = [sys.executable, "-c", IMPORTS, "study", "--seeds", seeds]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60)
    said = f"cxr-study: --seeds={seeds}: must be at least 1 and at most 10000, as seeds of cxr-run"
    assert (process.returncode, process.stderr.splitlines()[0]) == (2, said)
    assert list(elsewhere.iterdir()) == []


def test_the_help_names_every_key(cxr_run: Command) -> None:
    help_text = cxr_run("--help").out
    for key in KEYS:
        assert f"{key.rpartition('.')[2]}:" in help_text, key
    assert "hydra:" not in help_text


@pytest.mark.parametrize(
    ("line", "choices"), [("optimizer.weight", "optimizer.weight_decay="), ("data=f", "data=folder")]
)
def test_the_shell_completes_keys_and_choices(
    cxr_run: Command, monkeypatch: pytest.MonkeyPatch, line: str, choices: str
) -> None:
    monkeypatch.setenv("COMP_LINE", f"cxr-run {line}")
    assert cxr_run("-sc", "query=bash") == Answer(0, f"{choices}\n", "")


def test_the_configuration_is_shown_with_its_overrides_and_nothing_is_run(cxr_run: Command, elsewhere: Path) -> None:
    answer = cxr_run("--cfg", "job", "--resolve", *CARD)
    assert (answer.code, answer.err) == (0, "")
    shown = yaml.safe_load(answer.out)
    assert (shown["model"]["name"], shown["optimizer"]["lr"], shown["loss"]["pos_weight"]) == ("cnn", 0.01, 0.37)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("line", ["-m model=linear,cnn {}", "model=linear,cnn -m {}", "model=linear,cnn {} --multirun"])
def test_options_stand_anywhere(cxr_run: Command, elsewhere: Path, line: str) -> None:
    assert cxr_run(*line.format(" ".join([*TINY, "plots=never"])).split()).code == 0
    assert states(elsewhere / "outputs") == ["done", "done"]


@pytest.mark.parametrize(
    "line", ["--cfg job {}", "{} --cfg=job", "model=cnn -c job optimizer=sgd loss.pos_weight=0.37"]
)
def test_the_configuration_is_shown_wherever_that_is_asked_for(cxr_run: Command, line: str) -> None:
    answer = cxr_run(*line.format(" ".join(CARD)).split())
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == cxr_run("--cfg", "job", *CARD).out


@pytest.mark.parametrize(
    "line", ["model=cnn --help", "--help model=cnn", "model=cnn epochs=3 -h", "-h -m model=cnn,linear"]
)
def test_help_shows_a_choice_in_full(cxr_run: Command, line: str) -> None:
    answer = cxr_run(*line.split())
    assert (answer.code, answer.err) == (0, "")
    for written in (CONF / "model" / "cnn.yaml").read_text("utf-8").splitlines():
        assert f"  {written}\n" in answer.out
    if "-m" not in line:
        shown = cxr_run("--cfg", "job", *(word for word in line.split() if "=" in word)).out
        assert "  lr: 0.01\n" in shown
        assert answer.out.endswith("".join(f"  {row}\n" for row in shown.splitlines()))


def test_help_shows_an_experiment_with_all_that_it_sets(cxr_run: Command) -> None:
    answer = cxr_run("experiment=table1_20", "--help")
    assert "# Published (Fig. 20): accuracy 93.4 %" in answer.out
    assert "  epochs: 50\n" in answer.out
    assert "    lr: 0.0001\n" in answer.out


def test_help_shows_a_file_of_the_users_own(cxr_run: Command, elsewhere: Path) -> None:
    path = elsewhere / "mine" / "model" / "wide.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("defaults: [linear]\nhidden: 99  # many\n")
    answer = cxr_run("model=wide", "--help", "--config-dir", "mine")
    assert "  hidden: 99  # many\n" in answer.out
    assert "    layers: 2\n" in answer.out


def test_help_without_a_choice_is_the_whole(cxr_run: Command) -> None:
    assert cxr_run("epochs=3", "--help").out == cxr_run("--help").out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("model=zebra --help", "model=zebra: no such choice, valid are cnn, "),
        ("-m model=cnn,zebra --help", "model=zebra: no such choice, valid are cnn, "),
        ("model=cnn --help zebra=1", "zebra=1: no such key"),
        ("--lr 3 --help", "--lr: no such option, write optimizer.lr=3"),
        ("model=cnn --help --config-dir nowhere", "--config-dir=nowhere: no such folder"),
    ],
)
def test_a_mistake_beside_help_is_named(cxr_run: Command, line: str, said: str) -> None:
    answer = cxr_run(*line.split())
    assert (answer.code, answer.out, len(answer.err.splitlines())) == (2, "", 1)
    assert answer.err.startswith(f"cxr-run: {said}")


def test_the_report_gathers_the_runs_of_a_sweep(
    cxr_run: Command, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cxr_run("-m", "model=linear,cnn", *TINY)
    monkeypatch.setattr(sys, "argv", ["cxr-report"])
    with pytest.raises(SystemExit) as ending:
        cli.report()
    assert ending.value.code == 0
    page = (elsewhere / "outputs" / "report" / "report.md").read_text("utf-8")
    assert "linear" in page
    assert "cnn" in page
    assert capsys.readouterr().err == ""

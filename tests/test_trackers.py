"""Runs that were sent to a tracker are read back with its own library, and are those of the outputs tree."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from conftest import Answer, call_inside
from cxr_runner import cli
from cxr_runner.artifacts.rundir import RunDir, read_run
from cxr_runner.report.trackers.tracked_run import track_run
from cxr_runner.study import load_study
from run_trees import CONFIG, HOSPITAL, history, run_metrics, split_metrics, write_run
from study_trees import write_study

mlflow_tracking = pytest.importorskip("mlflow.tracking", reason="the extra mlflow is not installed")
events = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="the extra tensorboard is not installed"
)

# What MLflow asks of SQLAlchemy, which says so, is no concern of those who use it.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
STARTED, SECONDS = "2026-11-27T10:00:00+00:00", 1795773600
ERROR = "the loss is not finite in epoch 2"
ROOT = "/data/zqward"
Command = Callable[..., Answer]


@pytest.fixture
def cxr_report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return lambda *arguments: call_inside(cli.report, ["cxr-report", *map(str, arguments)], monkeypatch, capsys)


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """An outputs tree: two seeds, one of which collapsed, a run that failed, one that is not finished."""
    root = tmp_path / "outputs"
    config = CONFIG | {"data": {"name": "folder", "root": ROOT, "image_size": 64}, "augment": {"flip": 0.5}}
    given: dict[str, Any] = {"config": config, "data": HOSPITAL | {"fingerprints": {"source": "5" * 16}}}
    done = write_run(root, seed=0, status={"state": "done", "started": STARTED}, **given)
    for path, side in ((done.curves, 8), (done.confusion, 4)):
        Image.new("RGB", (side, 2)).save(path)
    write_run(root, seed=1, metrics=run_metrics(collapsed=True, collapse_reason="all units were dead"), **given)
    failed = {"state": "failed", "diverged": True, "error": ERROR, "started": STARTED}
    files = write_run(root, "wild", "abcdefabcd", status=failed, **given)
    files.metrics.unlink()
    files.history.write_text(history(1).to_csv(index=False))
    write_run(root, "slow", status={"state": "running", "started": STARTED}, **given)
    return root


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of an MLflow store of plain files, which is there at once."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return mlflow_tracking.MlflowClient(tracking_uri=(tmp_path / "store").as_uri())


def read(store: Any) -> dict[str, Any]:
    """Return the runs of a store by their names."""
    runs = store.search_runs([store.get_experiment_by_name("cxr_runner").experiment_id])
    assert len({run.info.run_name for run in runs}) == len(runs)
    return {run.info.run_name: run for run in runs}


def test_mlflow_holds_what_the_tree_holds(cxr_report: Command, outputs: Path, store: Any) -> None:
    answer = cxr_report(outputs, "--to", "mlflow", "--tracking-uri", store.tracking_uri)
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[2:] == [
        f"3 runs sent to {store.tracking_uri}",
        "1 run left out:",
        f"  runs/slow-0123456789/seed=0: not finished (started {STARTED})",
    ]
    runs = read(store)
    assert sorted(runs) == ["linear-0123456789/seed=0", "linear-0123456789/seed=1", "wild-abcdefabcd/seed=0"]
    done, collapsed, failed = (runs[name] for name in sorted(runs))

    assert (done.info.status, done.info.start_time, done.info.end_time) == (
        "FINISHED",
        SECONDS * 1000,
        SECONDS * 1000 + 1500,
    )
    assert done.data.params == {
        "data.name": "folder",
        "data.root": ROOT,
        "data.image_size": "64",
        "augment.flip": "0.5",
        "model.name": "linear",
        "model.layers": "2",
        "model.hidden": "10",
        "model.sgd_lr": "0.0001",
        "optimizer.name": "sgd",
        "optimizer.lr": "0.0001",
        "optimizer.nesterov": "false",
        "loss.pos_weight": "null",
        "epochs": "3",
        "batch_size": "32",
        "seed": "0",
        "device": "auto",
        "outputs": "outputs",
    }
    expected = {f"test/{key}": value for key, value in split_metrics(70, 5, 4, 21).items()}
    expected |= {f"val/{key}": value for key, value in split_metrics(60, 10, 10, 20, auroc=0.8).items()}
    last = history().iloc[-1].drop("epoch")
    expected |= {"run/train_seconds": 2.0} | {f"epochs/{key}": value for key, value in last.items()}
    assert done.data.metrics == expected
    losses = store.get_metric_history(done.info.run_id, "epochs/val_loss")
    assert [(one.step, one.value) for one in losses] == [(1, 0.6), (2, 0.3), (3, 0.6 / 3)]
    assert [one.timestamp - SECONDS * 1000 for one in losses] == [500, 1000, 1500]
    assert sorted(file.path for file in store.list_artifacts(done.info.run_id)) == ["confusion.png", "curves.png"]
    tags = {key.removeprefix("cxr_runner."): value for key, value in done.data.tags.items()}
    assert (
        tags.items()
        >= {
            "run_id": "linear-0123456789/seed=0",
            "identity": "0123456789",
            "seed": "0",
            "state": "done",
            "collapsed": "false",
            "data": "Ward 7",
            "data_fingerprint": "0" * 16,
            "source_fingerprint": "5" * 16,
            "synthetic": "false",
            "engine": "pixel",
            "device": "cpu (2 threads)",
            "split": "split seed 0",
        }.items()
    )
    assert "study_row" not in tags

    assert collapsed.data.tags["cxr_runner.collapsed"] == "true"
    assert collapsed.data.tags["cxr_runner.collapse_reason"] == "all units were dead"
    assert (failed.info.status, failed.data.tags["cxr_runner.state"]) == ("FAILED", "failed")
    assert failed.data.tags["cxr_runner.error"] == ERROR
    assert failed.data.tags["cxr_runner.diverged"] == "true"
    assert {key for key in failed.data.metrics if not key.startswith("epochs/")} == set()
    assert failed.data.metrics["epochs/train_loss"] == 0.7


def test_a_row_of_a_study_is_a_tag(cxr_report: Command, tmp_path: Path, store: Any) -> None:
    write_study(tmp_path, seeds=range(1), rows=["21"])
    assert cxr_report(tmp_path, "--to", "mlflow", "--tracking-uri", store.tracking_uri).code == 0
    (run,) = read(store).values()
    assert (run.data.tags["cxr_runner.study"], run.data.tags["cxr_runner.study_row"]) == ("copetti", "21")


def test_a_run_is_in_mlflow_once_however_often_it_is_sent_and_as_it_was_last(
    cxr_report: Command, outputs: Path, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sending = (outputs, "--to", "mlflow", "--tracking-uri", store.tracking_uri)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mlflow_tracking.MlflowClient, "log_artifact", interrupted)
        assert cxr_report(*sending).code == 130
    (half,) = read(store).values()
    assert "3 runs sent" in cxr_report(*sending).out
    first = {name: run.info.run_id for name, run in read(store).items()}
    assert half.info.run_id not in first.values()
    assert f"0 runs sent to {store.tracking_uri}, 3 there already" in cxr_report(*sending).out
    assert {name: run.info.run_id for name, run in read(store).items()} == first

    changed = RunDir(outputs / "runs" / "linear-0123456789" / "seed=1")
    changed.metrics.write_text(json.dumps(run_metrics(tp=69, fn=5)))
    assert "1 run sent" in cxr_report(*sending).out
    second = read(store)
    assert second.keys() == first.keys()
    assert {name for name, run in second.items() if run.info.run_id != first[name]} == {"linear-0123456789/seed=1"}
    assert second["linear-0123456789/seed=1"].data.metrics["test/tp"] == 69

    doubled = store.create_run(half.info.experiment_id, tags=second["linear-0123456789/seed=0"].data.tags)
    assert "3 there already" in cxr_report(*sending).out
    assert len(store.search_runs([half.info.experiment_id])) == 3, doubled


def accumulated(outputs: Path, run: str) -> Any:
    found = events.EventAccumulator(str(outputs / "tensorboard" / run))
    found.Reload()
    return found


def session(found: Any, tag: str) -> Any:
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    return HParamsPluginData.FromString(found.SummaryMetadata(f"_hparams_/{tag}").plugin_data.content)


def test_tensorboard_holds_what_the_tree_holds(cxr_report: Command, outputs: Path) -> None:
    answer = cxr_report(outputs, "--to", "tensorboard")
    assert answer.code == 0, answer.err
    assert f"3 runs sent to {outputs / 'tensorboard'}" in answer.out
    assert f"to look at them: tensorboard --logdir '{outputs / 'tensorboard'}'" in answer.out

    found = accumulated(outputs, "linear-0123456789/seed-0")
    losses = found.Scalars("epochs/val_loss")
    assert [(one.step, one.wall_time - SECONDS) for one in losses] == [(1, 0.5), (2, 1.0), (3, 1.5)]
    assert [one.value for one in losses] == pytest.approx([0.6, 0.3, 0.2])
    ((last, step),) = [(one.value, one.step) for one in found.Scalars("test/auroc")]
    assert (last, step) == (pytest.approx(0.9), 3)
    assert [(one.width, one.height) for one in found.Images("curves")] == [(8, 2)]
    (configuration,) = found.Tensors("configuration")
    assert "| optimizer.nesterov | false |" in configuration.tensor_proto.string_val[0].decode()
    (tags,) = found.Tensors("run")
    assert "| cxr_runner.data_fingerprint | 0000000000000000 |" in tags.tensor_proto.string_val[0].decode()
    start = session(found, "session_start_info").session_start_info
    assert (start.hparams["optimizer.lr"].number_value, start.hparams["data.root"].string_value) == (1e-4, ROOT)
    assert start.hparams["optimizer.nesterov"].bool_value is False
    assert session(found, "session_end_info").session_end_info.status == 1, "success"

    failed = accumulated(outputs, "wild-abcdefabcd/seed-0")
    assert failed.Tags()["scalars"] == [f"epochs/{key}" for key in history().columns[1:]]
    assert session(failed, "session_end_info").session_end_info.status == 2, "failure"
    assert ERROR in failed.Tensors("run")[0].tensor_proto.string_val[0].decode()


def test_a_run_is_in_tensorboard_once_however_often_it_is_sent_and_no_report_takes_it_for_a_run(
    cxr_report: Command, outputs: Path, quick_pictures: None
) -> None:
    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in (outputs / "tensorboard").rglob("*") if path.is_file()}

    cxr_report(outputs, "--to", "tensorboard")
    first = files()
    changed = RunDir(outputs / "runs" / "linear-0123456789" / "seed=1")
    folder = outputs / "tensorboard" / "linear-0123456789" / "seed-1"
    (folder / ".events.out.tfevents.0.abcd.tmp.efgh").write_bytes(b"cut off")
    assert "0 runs sent" in cxr_report(outputs, "--to", "tensorboard").out
    assert files() == first

    changed.metrics.write_text(json.dumps(run_metrics(tp=69, fn=5)))
    assert "1 run sent" in cxr_report(outputs, "--to", "tensorboard").out
    assert {path.parent for path in first.keys() ^ files().keys()} == {folder}
    assert len(files()) == len(first) == 3
    assert "2 finished runs of 1 configuration on 1 data set; left out: 1 failed, 1 running" in cxr_report(outputs).out


@pytest.mark.parametrize("tracker", ["mlflow", "tensorboard"])
def test_names_are_hidden_from_a_tracker(tracker: str, cxr_report: Command, tmp_path: Path, store: Any) -> None:
    outputs, name = tmp_path / "outputs", "zqanna"
    settings = {"name": "folder", "root": f"/data/{name}", "image_size": 64, "patient_pattern": f"{name}(\\d+)"}
    config = CONFIG | {"data": settings, "outputs": f"/home/{name}", "name": "linear"}
    config["model"] = CONFIG["model"] | {"weights": f"{name}.pt"}
    write_run(outputs, config=config, data=HOSPITAL | {"title": name})  # a folder without a title is called as it is
    failed = {"state": "failed", "error": f"{name}.png cannot be read", "started": STARTED}
    write_run(outputs, seed=1, config=config, status=failed)
    write_run(outputs, seed=2, config=config, status={"state": name})
    place = tmp_path / "store"
    where = ("--to", tracker, "--tracking-uri", store.tracking_uri if tracker == "mlflow" else place)

    def said() -> bytes:
        return b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())

    hidden = cxr_report(outputs, *where, "--hide-names")
    assert "2 runs sent" in hidden.out
    assert name.encode() not in said()
    assert name not in hidden.out + hidden.err
    assert b"HIDDEN" in said()
    assert b"0.0001" in said() if tracker == "mlflow" else b"optimizer.lr" in said()
    assert "2 runs sent" in cxr_report(outputs, *where).out
    assert f"/data/{name}".encode() in said()


@pytest.mark.parametrize(("hide_names", "synthetic", "told"), [(1, 0, "HIDDEN"), (1, 1, "Ward 7"), (0, 0, "Ward 7")])
def test_data_keep_their_title_where_names_are_shown_or_nobody_is_in_them(
    hide_names: int, synthetic: int, told: str, tmp_path: Path
) -> None:
    run = read_run(write_run(tmp_path, data=HOSPITAL | {"synthetic": bool(synthetic)}).path)
    tracked = track_run(run, None, load_study("copetti"), hide_names=bool(hide_names))
    assert tracked.tags["cxr_runner.data"] == told


@pytest.mark.parametrize(("tracker", "library"), [("mlflow", "mlflow"), ("mlflow", "alembic"), ("tensorboard",) * 2])
def test_an_extra_that_is_not_installed_is_named(
    tracker: str, library: str, cxr_report: Command, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    answer = cxr_report(outputs, "--to", tracker)
    said = f"cxr-report: --to={tracker}: needs {library}: pip install 'cxr-runner[{tracker}]'\n"
    assert (answer.code, answer.out, answer.err) == (2, "", said)
    assert not (outputs / "mlruns").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--to wandb", "argument --to: invalid choice: 'wandb'"),
        ("--to mlflow --out page", "--to writes no report, so that --out says nothing"),
        ("--to tensorboard --compare a b", "--to writes no report, so that --compare says nothing"),
        ("--tracking-uri x", "--tracking-uri needs --to mlflow or --to tensorboard"),
        ("--to mlflow --tracking-uri ftp://x", "--tracking-uri=ftp://x: must be a folder, sqlite:///FILE, http://"),
        ("--to mlflow --tracking-uri=", "--tracking-uri=: must be a folder, sqlite:///FILE, http://"),
        ("--to mlflow --tracking-uri postgresql://me:secret@host/db", "--tracking-uri=postgresql://host/db: must be"),
        ("--to mlflow --tracking-uri file", "--tracking-uri=file: cannot write there (File exists)"),
        pytest.param(
            *("--to mlflow --tracking-uri sqlite:///file", "=sqlite:///file: (sqlite3.DatabaseError) file is not a"),
            marks=pytest.mark.long,
        ),
        ("--to mlflow --tracking-uri http://me:secret@127.0.0.1:9", "=http://127.0.0.1:9: no server answers there"),
        ("--to tensorboard --tracking-uri file", "--tracking-uri=file: cannot write there (Not a directory)"),
        ("--to tensorboard --tracking-uri http://x", "--tracking-uri=http://x: must be a folder"),
        ("--to tensorboard --select model=cnn", "--select=model=cnn: no run is like that; here are linear"),
    ],
)
def test_mistakes_are_told_in_one_line(
    arguments: str, said: str, cxr_report: Command, outputs: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (elsewhere / "file").write_text("no database, no folder")
    before = sorted(outputs.rglob("*"))
    answer = cxr_report(outputs, *arguments.split())
    assert answer.code == 2
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert "secret" not in answer.err
    assert sorted(outputs.rglob("*")) == before


@pytest.mark.long
def test_mlflow_keeps_a_database_in_the_tree_where_no_other_place_is_named(cxr_report: Command, outputs: Path) -> None:
    answer = cxr_report(outputs, "--to", "mlflow")
    assert answer.code == 0, answer.err
    uri = f"sqlite:///{outputs / 'mlruns' / 'mlflow.db'}"
    assert f"3 runs sent to {uri}" in answer.out
    store = mlflow_tracking.MlflowClient(tracking_uri=uri)
    done = read(store)["linear-0123456789/seed=0"]
    assert done.data.metrics["test/auroc"] == 0.9
    assert (outputs / "mlruns" / "artifacts" / done.info.run_id / "artifacts" / "curves.png").is_file()
    assert "0 runs sent" in cxr_report(outputs, "--to", "mlflow").out

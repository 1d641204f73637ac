"""Sweeps in other processes and on a Slurm cluster leave what a plain sweep leaves."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from installed import installed

SLURM = Path(__file__).parent / "slurm"
SWEEP = (
    *("seed=0,1", "model=linear,cnn", "data.num_images=40", "data.image_size=16", "batch_size=8"),
    *("progress=lines", "plots=never"),
)
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
SUBMITIT = ("hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1")


def _command(*arguments: str) -> list[str]:
    return [installed("cxr-run"), "-m", *arguments]


def _sweep(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(*arguments), capture_output=True, text=True, timeout=300)


def _contents(outputs: Path) -> dict[str, tuple[str, bytes, bytes]]:
    """Return what must be equal between sweeps, of every run by its place."""
    return {
        str(status.parent.relative_to(outputs)): (
            pd.read_csv(status.with_name("history.csv")).drop(columns="seconds").to_csv(),
            status.with_name("predictions.csv").read_bytes(),
            status.with_name("model.safetensors").read_bytes(),
        )
        for status in outputs.glob("runs/*/seed=*/status.json")
    }


def _state(run: Path) -> object:
    return json.loads((run / "status.json").read_text("utf-8"))["state"]


@pytest.mark.long
def test_a_joblib_sweep_leaves_what_a_plain_one_leaves(elsewhere: Path) -> None:
    plain = _sweep(*SWEEP, "epochs=2", "outputs=plain")
    other = _sweep(*SWEEP, "epochs=2", "outputs=other", *JOBLIB)
    assert (plain.returncode, other.returncode) == (0, 0), plain.stderr + other.stderr
    assert len(_contents(elsewhere / "plain")) == 4
    assert _contents(elsewhere / "plain") == _contents(elsewhere / "other")


def test_failures_in_other_processes_are_listed_at_the_end_and_make_the_sweep_fail(elsewhere: Path) -> None:
    answer = _sweep(*SWEEP, "epochs=1", "model=linear", "optimizer.lr=1e200,1e-4,-1", *JOBLIB)
    assert answer.returncode == 1
    summary = answer.stderr[answer.stderr.index("cxr-run: 3 problems in the sweep:") :]
    assert summary.count("optimizer.lr=-1: must be above 0") == 1, "one mistake, of two jobs"
    assert summary.count("the loss is not finite in epoch 1") == 2
    assert sorted(map(_state, elsewhere.glob("outputs/runs/*/seed=*"))) == ["done", "done", "failed", "failed"]
    assert list(Path(os.environ["CXR_CACHE"]).glob("failures/*")) == []


@pytest.mark.long
def test_mistakes_alone_are_the_users_in_other_processes_too(elsewhere: Path) -> None:
    answer = _sweep("seed=0,-1", "data.num_images=40", "data.image_size=16", "epochs=1", *JOBLIB)
    assert (answer.returncode, answer.stderr) == (2, "cxr-run: seed=-1: must be at least 0\n")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Slurm cluster of one node, this machine."""
    daemons = [shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("slurmctld", "slurmd", "munged")]
    if not all(daemons) or os.geteuid() != 0:
        missing = "slurm-wlm and munge, and root for their daemons, are needed"
        if "CI" in os.environ:
            pytest.fail(missing)
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("slurm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{SLURM / 'bin'}:{os.environ['PATH']}:/usr/sbin")
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        try:
            subprocess.run([SLURM / "start.sh", folder], check=True)
            yield
        finally:
            subprocess.run([SLURM / "stop.sh", folder], check=True)


@pytest.mark.slurm
def test_a_slurm_sweep_that_lost_a_job_is_completed_by_the_same_command(cluster: None, elsewhere: Path) -> None:
    sweep = (*SWEEP, "model=linear", "optimizer.momentum=0,0.9", "engine=pixel", "epochs=500")
    with subprocess.Popen(_command(*sweep, *SUBMITIT), stderr=subprocess.PIPE, text=True) as process:
        lost = _kill_a_job_under_way(elsewhere)
        assert process.stderr is not None
        complaint = process.stderr.read()
    assert process.returncode == 1
    assert "cxr-run: a job of the sweep was lost, the same command goes on where it stopped" in complaint
    assert _state(lost) == "running"
    progress = (lost / "checkpoint.pt").stat().st_size

    second = _sweep(*sweep, *SUBMITIT)
    assert second.returncode == 0, second.stderr
    logs = "".join(path.read_text("utf-8") for path in elsewhere.glob("outputs/sweeps/*/.submitit/*/*_log.out"))
    assert progress > 0
    assert "resuming after epoch" in logs

    plain = _sweep(*sweep, "outputs=plain")
    assert plain.returncode == 0, plain.stderr
    assert len(_contents(elsewhere / "plain")) == 4
    assert _contents(elsewhere / "plain") == _contents(elsewhere / "outputs")


@pytest.mark.slurm
def test_a_slurm_job_that_is_preempted_and_requeued_loses_no_epoch_and_the_sweep_ends_well(
    cluster: None, elsewhere: Path
) -> None:
    sweep = ("seed=0", *SWEEP[2:], "model=linear", "engine=pixel", "optimizer.momentum=0.9", "epochs=200")
    with subprocess.Popen(_command(*sweep, *SUBMITIT), stderr=subprocess.PIPE, text=True) as process:
        log = _wait_for_epochs(elsewhere, 20)
        subprocess.run(["scontrol", "requeue", log.parent.name], check=True)
        assert process.stderr is not None
        complaint = process.stderr.read()
    assert process.returncode == 0, complaint
    first, resumed, _ = re.split(r"seed 0: resuming after epoch (\d+)", log.read_text("utf-8"))
    last = int(re.findall(r"^epoch +(\d+)/", first, re.MULTILINE)[-1])
    assert int(resumed) in (last, last + 1)
    assert _sweep(*sweep, "outputs=plain").returncode == 0
    assert _contents(elsewhere / "plain") == _contents(elsewhere / "outputs")


def _wait_for_epochs(folder: Path, num_epochs: int) -> Path:
    """Wait until a job has trained so many epochs; return its log."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for log in folder.glob("outputs/sweeps/*/.submitit/*/*_log.out"):
            if f"epoch {num_epochs:>3}/" in log.read_text("utf-8"):
                return log
        time.sleep(0.05)
    raise AssertionError("no job has come so far")


def _kill_a_job_under_way(folder: Path) -> Path:
    """Kill, as a machine that fails would, the first job that has left a checkpoint; return its run directory."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for checkpoint in folder.glob("outputs/runs/*/seed=*/checkpoint.pt"):
            for environ in Path("/proc").glob("[0-9]*/environ"):
                if _holds(environ.parent, checkpoint.parent.with_name(f".{checkpoint.parent.name}.lock")):
                    os.kill(int(environ.parent.name), signal.SIGKILL)
                    return checkpoint.parent
        time.sleep(0.05)
    raise AssertionError("no job has come so far")


def _holds(process: Path, file: Path) -> bool:
    try:
        return any(link.resolve() == file.resolve() for link in (process / "fd").iterdir())
    except OSError:
        return False

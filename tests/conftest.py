import gc
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from cxr_runner import cli
from cxr_runner.base import background
from cxr_runner.base import signals as signals_of_commands

# Before torch is imported, here and in the processes that tests start: on tiny tensors, threads only wait for each
# other, for seconds where a machine is busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")
DEVICE = os.environ.get("CXR_TEST_DEVICE", "auto")  # where runs compute that name no device: auto, cpu or cuda
if DEVICE == "cpu":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_configure() -> None:
    if DEVICE not in ("auto", "cpu", "cuda"):
        raise pytest.UsageError(f"CXR_TEST_DEVICE={DEVICE}: must be auto, cpu or cuda")
    if DEVICE == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise pytest.UsageError("CXR_TEST_DEVICE=cuda: torch can use no CUDA device here")


def pytest_collection_finish() -> None:
    """Have every later search for garbage pass over all that was imported and collected, which takes half a second."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let the interpreter clear up at its end."""
    gc.unfreeze()


@dataclass(frozen=True)
class Answer:
    """What a command returned and said."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Decoded images go to a folder that the tests of a process share, never to the user's own; so does the salt."""
    path = tmp_path_factory.mktemp("cache")
    if "PYTEST_XDIST_WORKER" in os.environ:  # what one process has compiled, the others need not compile
        native = tmp_path_factory.getbasetemp().parent / "native"
        native.mkdir(exist_ok=True)
        (path / "native").symlink_to(native)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXR_CACHE", str(path))
        patch.setenv("CXR_SALT", "the salt of the tests")
        yield path


@pytest.fixture(autouse=True, scope="session")
def no_power_cut() -> Iterator[None]:
    """Have this process not wait until what it writes lies on the disk, thousands of times: no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


_open_pool = background._open_pool


@pytest.fixture(autouse=True, scope="session")
def one_process() -> Iterator[None]:
    """Have this process draw what a command has other processes draw, each of which would import matplotlib anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(background, "_open_pool", lambda *_: None)
        yield


@pytest.fixture
def own_workers(one_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have other processes draw, as a command does where it is no test."""
    monkeypatch.setattr(background, "_open_pool", _open_pool)


@pytest.fixture
def without_dicom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the extra for DICOM files not installed, in the process of the test."""
    monkeypatch.setitem(sys.modules, "pydicom", None)


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Put back what a command that a test calls inside this process has made of signals."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    hook = sys.unraisablehook
    yield
    sys.unraisablehook = hook
    signals_of_commands._raised.clear()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the test: empty, and far from the checkout."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def cxr_run(
    elsewhere: Path,
    own_process: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Answer]:
    """The command cxr-run, started in ``elsewhere`` but inside this process, which imports torch only once."""

    return lambda *arguments: call_inside(cli.run, ["cxr-run", *arguments], monkeypatch, capsys)


def call_inside(
    entry: Callable[[], NoReturn],
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Answer:
    """Start a command inside this process; ``command`` is its name and its arguments."""
    monkeypatch.setattr(sys, "argv", command)
    capsys.readouterr()
    with pytest.raises(SystemExit) as ending:
        entry()
    captured = capsys.readouterr()
    assert isinstance(ending.value.code, int)
    return Answer(ending.value.code, captured.out, captured.err)


@pytest.fixture
def own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put back what a command changes for good, since its process ends with it."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    level, disabled = logging.root.level, {logger.name for logger in _loggers() if logger.disabled}
    yield
    logging.root.setLevel(level)
    for logger in _loggers():
        logger.disabled = logger.name in disabled
    if "torch" in sys.modules:
        sys.modules["torch"].use_deterministic_algorithms(False)


def _loggers() -> list[logging.Logger]:
    return [logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]


@pytest.fixture
def quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have reports write bytes instead of drawing, in the process of the test."""
    from cxr_runner.plots import style

    monkeypatch.setattr(style, "save_figure", lambda figure, *paths: [path.write_bytes(b"a picture") for path in paths])


@pytest.fixture
def cxr_data(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """The command cxr-data, inside this process."""
    return lambda *arguments: call_inside(cli.data, ["cxr-data", *arguments], monkeypatch, capsys)


@pytest.fixture
def cxr_model(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """The command cxr-model, inside this process."""
    return lambda *arguments: call_inside(cli.model, ["cxr-model", *map(str, arguments)], monkeypatch, capsys)


@pytest.fixture(scope="session")
def model_folds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Run directories of two folds of a linear model, to be read and not written to."""
    from model_runs import train_folds

    return train_folds(tmp_path_factory.mktemp("model") / "outputs")


@pytest.fixture
def model_copy(model_folds: list[Path], tmp_path: Path) -> list[Path]:
    """The same, to be changed."""
    from model_runs import folds_of

    shutil.copytree(model_folds[0].parents[2], tmp_path / "outputs")
    return folds_of(tmp_path / "outputs")

"""Bits that flip in any file that is read again: each is noticed, or what is read is the same to the last bit."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import Answer, call_inside
from cxr_runner import cli
from cxr_runner.artifacts.rundir import RunDir, read_run
from cxr_runner.artifacts.samples import read_samples
from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.data.cache import has_its_origin, read_description, read_remarks
from cxr_runner.data.dataset import open_dataset
from cxr_runner.data.store import _read as read_store
from cxr_runner.report.collect.tree import _collect_audits
from cxr_runner.report.manifest import _earlier
from cxr_runner.report.write import write_report
from cxr_runner.training.checkpoint import read_checkpoint
from cxr_runner.training.gram.matrix import _read as read_gram
from cxr_runner.training.gram.products import StoreProducts
from killable import results

DATA = ("data.num_images=40", "data.image_size=16")
RUN = ("model=linear", *DATA, "optimizer.momentum=0.9", "epochs=3", "progress=none")
NUM_FLIPS = 400
Command = Callable[..., Answer]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CXR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def flips(path: Path, number: int = NUM_FLIPS, head: int | None = None) -> Iterator[int]:
    """Flip one bit after the other of a sample of those of a file, or its first bytes; it is whole again at the end."""
    whole = path.read_bytes()
    bits = range(8 * (head or len(whole)))
    for bit in random.Random(0).sample(bits, min(number, len(bits))):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        yield bit
    path.write_bytes(whole)


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


@pytest.fixture
def cxr_data(
    own_process: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    return lambda *arguments: call_inside(cli.data, ["cxr-data", *arguments], monkeypatch, capsys)


def test_every_bit_that_flips_in_a_description_is_noticed_and_the_answer_is_the_same(
    cxr_data: Command, cache: Path
) -> None:
    command = ("describe", *DATA)
    cxr_data(*command)  # decodes the images
    expected = cxr_data(*command)
    path = only(cache, "*/descriptions/*.json")
    whole, data = path.read_bytes(), compose(DATA)[0].data
    for number, _ in enumerate(flips(path)):
        assert read_description(path.parents[1], data) is None
        if number % 100 == 0:
            assert cxr_data(*command) == expected
            assert path.read_bytes() == whole
    assert read_description(path.parents[1], data) is not None


def test_descriptions_from_before_there_were_checksums_are_made_anew(cxr_data: Command, cache: Path) -> None:
    cxr_data("describe", *DATA)
    path = only(cache, "*/descriptions/*.json")
    whole = path.read_bytes()
    path.write_text(json.dumps({key: value for key, value in json.loads(whole).items() if key != "checksum"}))
    cxr_data("describe", *DATA)
    assert path.read_bytes() == whole


def test_a_store_whose_remarks_have_changed_is_built_anew_and_an_older_one_is_not(
    cxr_data: Command, cache: Path
) -> None:
    cxr_data("describe", *DATA)
    path = only(cache, "*/origin.json")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"remarks", b"semarks"))
    assert "is damaged and built anew (its origin has changed)" in cxr_data("describe", *DATA, "progress=lines").out
    assert path.read_bytes() == whole
    path.write_text('{"format": 3, "remarks": ["as before"]}')
    assert cxr_data("describe", *DATA, "progress=lines").out.endswith("as before\n")


# The longer test: what is read from each file, and None (or an error) where a change is noticed.


def _of_store(store: Path) -> Any:
    opened = read_store(store, Reporter(), every_image=True)
    if opened is None:
        return None
    return opened.images.tobytes(), opened.table.to_csv(), opened.class_names, opened.derived, read_remarks(store)


def _of_description(store: Path) -> Any:
    return read_description(store, compose(DATA)[0].data)


def _of_origin(store: Path) -> Any:
    return read_remarks(store) if has_its_origin(store) else None


def _of_checkpoint(run: Path) -> Any:
    try:
        return repr(read_checkpoint(RunDir(run)))
    except ValueError:
        return None


def _of_finished_run(run: Path) -> Any:
    files = RunDir(run)
    return None if files.altered() or not files.complete() else True


def _of_status(run: Path) -> Any:
    read = read_run(run)
    return None if read.state in ("altered", "unknown") else (read.state, read.problem, read.diverged)


def _of_samples(path: Path) -> Any:
    read = [(one.name, one.label, one.before.tobytes(), one.after.tobytes(), one) for one in read_samples(path)]
    return [(*first, last.source_size, last.stored_side) for *first, last in read] or None


def _of_manifest(out: Path) -> Any:
    with (out / "index.html").open("r+b") as page:  # without links, so that nothing is known where it was noticed
        page.truncate(0)
    return list(_earlier(out)) or None


def count(path: Path, read: Callable[[], Any], head: int | None = None, name: str = "") -> str:
    """Flip bits of a file, or its first bytes; return how many are noticed, and how many change nothing."""
    expected, noticed, same = read(), 0, 0
    assert expected is not None
    total = 0
    for bit in flips(path, head=head):
        now = read()
        noticed, same, total = noticed + (now is None), same + (now == expected), total + 1
        assert now is None or now == expected, f"{path}: bit {bit}"
    assert read() == expected
    return f"| {name or path.name} | {noticed} | {same} | {total} |"


@pytest.mark.long
@pytest.mark.usefixtures("quick_pictures")
def test_every_bit_that_flips_in_any_file_that_is_read_again_is_noticed_or_changes_nothing(
    cxr_run: Command, cxr_data: Command, cache: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cxr_run(*RUN).code == 0
    store, outputs = only(cache, "*-16"), elsewhere / "outputs"
    lines = [count(store / name, lambda: _of_store(store)) for name in ("images.npy", "table.csv", "meta.json")]
    lines.append(count(store / "images.npy", lambda: _of_store(store), 128, "images.npy, its header"))
    lines.append(count(store / "origin.json", lambda: _of_store(store)))
    lines.append(count(only(store, "descriptions/*.json"), lambda: _of_description(store), name="descriptions/*.json"))
    lines += _count_derived(store)
    run = only(outputs, "runs/*/seed=0")
    lines += [count(path, lambda: _of_finished_run(run)) for path in (*RunDir(run).results, RunDir(run).status)]
    samples = only(outputs, "samples/*.npz")
    lines.append(count(samples, lambda: _of_samples(samples), name="samples/*.npz"))
    assert cxr_data("audit", *DATA).code == 0
    lines.append(count(only(outputs, "audits/*/audit.json"), lambda: list(_collect_audits(outputs)) or None))
    write_report(outputs, outputs / "report")
    lines.append(count(outputs / "report" / "manifest.json", lambda: _of_manifest(outputs / "report")))
    monkeypatch.setattr("cxr_runner.artifacts.status.Status.done", _interrupt)
    assert cxr_run(*RUN, "force=true").code == 130
    lines.append(count(run / "checkpoint.pt", lambda: _of_checkpoint(run)))
    lines.append(count(run / "status.json", lambda: _of_status(run), name="status.json, interrupted"))
    print("| file | noticed | changes nothing | flips |", "|---|---|---|---|", *lines, sep="\n")


def _count_derived(store: Path) -> Iterator[str]:
    dataset = open_dataset(compose(DATA)[0].data, Reporter())
    gram, start = only(store, "*/gram.npy"), only(store, "*/starts/*.npy")

    def of_gram() -> Any:
        matrix = read_gram(gram, dataset.images)
        return None if matrix is None else matrix.tobytes()

    def of_start() -> Any:
        products = StoreProducts(dataset.images, dataset.store, torch.device("cpu"), Reporter())
        return products._starts[start.stem].numpy().tobytes() if products._load_start(start.stem, 10) else None

    yield count(gram, of_gram)
    yield count(start, of_start, name="starts/*.npy")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.long
def test_after_a_bit_has_flipped_in_any_file_the_same_command_gives_the_same_results(
    cxr_run: Command, cache: Path, elsewhere: Path
) -> None:
    assert cxr_run(*RUN).code == 0
    outputs = elsewhere / "outputs"
    expected, counted = results(outputs), {}
    for path in sorted(path for path in cache.rglob("*") if path.is_file() and path.stat().st_size):
        for _ in flips(path, 10):
            assert cxr_run(*RUN, "force=true").code == 0
            assert results(outputs) == expected, path
            counted[path.name] = counted.get(path.name, 0) + 1
    print(*(f"{name}: {number} of {number} flips changed no result" for name, number in counted.items()), sep="\n")


@pytest.mark.long
def test_after_a_bit_has_flipped_in_an_interrupted_run_it_ends_with_the_same_results(
    cxr_run: Command, cache: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cxr_run(*RUN).code == 0
    outputs = elsewhere / "outputs"
    expected, run = results(outputs), only(outputs, "runs/*/seed=0")
    shutil.rmtree(run)
    with monkeypatch.context() as patch:
        patch.setattr("cxr_runner.experiment.stack.leave_results", _interrupt)
        assert cxr_run(*RUN).code == 130
    kept = elsewhere / "interrupted"
    shutil.copytree(run, kept)
    paths, lines = sorted(kept.iterdir()), []
    assert {path.name for path in paths} == {"checkpoint.pt", "config.yaml", "data.json", "history.csv", "status.json"}
    for path in paths:
        refused = number = 0
        for _ in flips(path, 20):
            shutil.rmtree(run)
            shutil.copytree(kept, run)
            answer = cxr_run(*RUN)
            refused, number = refused + (answer.code == 1), number + 1
            assert answer.code == 0 or (path.name == "checkpoint.pt" and answer.err.count("\n") == 1), answer.err
            assert answer.code == 0 or cxr_run(*RUN).code == 0
            assert results(outputs) == expected, path
        lines.append(f"{path.name}: {number} of {number} flips changed no result, {refused} were refused first")
    print(*lines, sep="\n")

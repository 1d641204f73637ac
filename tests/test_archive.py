"""Archives of runs: the report of one is that of its tree, and nothing is read from one that is not whole."""

import io
import json
import lzma
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from conftest import Answer, call_inside
from cxr_runner import cli
from cxr_runner.artifacts.altered import checksums_of
from cxr_runner.artifacts.archive import opening
from cxr_runner.artifacts.archive.logit_tables import (
    join_predictions,
    read_images,
    read_matrix,
    split_predictions,
    write_images,
    write_matrix,
)
from cxr_runner.artifacts.archive.opening import opened_archive
from cxr_runner.artifacts.rundir import RunDir, find_run_dirs, read_run
from cxr_runner.base.checked_json import write_checked_json
from cxr_runner.base.checksums import digest
from cxr_runner.base.errors import RunFailedError, UserError
from cxr_runner.base.files import write_csv
from cxr_runner.commands.verifying import verify_report
from cxr_runner.study import load_study
from cxr_runner.study.stated import state_claims
from run_trees import HOSPITAL, write_run
from split_trees import Maker, make_images, make_splits
from study_trees import write_study

Command = Callable[..., Answer]


@pytest.fixture
def cxr_report(
    own_process: None, quick_pictures: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """The command cxr-report, inside this process and without drawing."""
    return lambda *words: call_inside(cli.report, ["cxr-report", *map(str, words)], monkeypatch, capsys)


def write_folds(root: Path, num_folds: int = 3) -> list[RunDir]:
    """Write runs on folds, with a subgroup, weights, and paths of this machine in what they say."""
    images = replace(make_images(90), columns={"view": tuple("AP" if image % 3 else "PA" for image in range(90))})
    settings = {"data.root": "/home/nobody/xrays", "outputs": str(root)}
    runs = Maker(root, images, make_splits(images, num_folds), settings).write(range(2))
    for files in runs:
        files.model.write_bytes(b"weights")
        state_done(files, host="machine-of-nobody")
    return runs


def state_done(files: RunDir, **said: str) -> None:
    """Write the status of a run with the checksums of what its files are now."""
    status = json.loads(files.status.read_text()) | {"checksums": checksums_of(files.results), **said}
    status.pop("checksum")
    write_checked_json(files.status, status)


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive, "r:xz") as content:
        return {member.name: content.extractfile(member).read() for member in content}  # type: ignore[union-attr]


def forge(archive: Path, files: Mapping[str, bytes]) -> Path:
    """Write an archive that holds whatever is given."""
    with tarfile.open(archive, "w:xz") as content:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            content.addfile(member, io.BytesIO(data))
    return archive


def with_contents(files: Mapping[str, bytes], tmp_path: Path, **changes: object) -> dict[str, bytes]:
    """Return the files of an archive with another, valid table of contents."""
    contents = json.loads(files["archive.json"]) | changes
    contents.pop("checksum")
    write_checked_json(tmp_path / "contents.json", contents)
    return {**files, "archive.json": (tmp_path / "contents.json").read_bytes()}


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_report_of_an_archive_is_that_of_its_runs_byte_for_byte(tmp_path: Path, cxr_report: Command) -> None:
    write_study(tmp_path / "tree", seeds=range(2), rows=["20", "21"], names="patient{}.png")
    state_claims(load_study(), tmp_path / "tree")
    out = [tmp_path / "of_tree", tmp_path / "of_archive"]
    archive = tmp_path / "tree.tar.xz"
    assert cxr_report(tmp_path / "tree", "--no-images", "--out", out[0]).code == 0
    told = cxr_report(tmp_path / "tree", "--archive", archive)
    assert (told.code, "4 runs" in told.out + told.err) == (0, True)
    answer = cxr_report(archive, "--no-images", "--out", out[1], "--verify", out[0])
    assert answer.code == 0, answer.err
    assert files_of(out[1]) == files_of(out[0])
    assert len(files_of(out[0])) > 50
    assert (out[1] / "claims.md").is_file()


def test_an_archive_has_neither_weights_nor_paths_of_the_machine(tmp_path: Path, cxr_report: Command) -> None:
    runs = write_folds(tmp_path / "tree")
    asked = ["--restate", "root=XRAYS", "--restate", "title=Ward = 8", "--restate", "licence=CC0"]
    assert cxr_report(tmp_path / "tree", "--archive", tmp_path / "a.tar.xz", *asked).code == 0
    files = members(tmp_path / "a.tar.xz")
    assert not any(word in content for content in files.values() for word in (b"nobody/", b"machine-of", b"weights\n"))
    assert {Path(name).name for name in files if "seed=" in name} == {
        *("config.yaml", "status.json", "data.json", "history.csv", "metrics.json")
    }
    name = runs[0].path.relative_to(tmp_path / "tree").as_posix()
    config, data = yaml.safe_load(files[f"{name}/config.yaml"]), json.loads(files[f"{name}/data.json"])
    assert (config["outputs"], config["data"]["root"]) == ("outputs", "XRAYS")
    assert (data["title"], data["licence"], data["citation"]) == ("Ward = 8", "CC0", "Nobody et al., 2020")
    status, own = json.loads(files[f"{name}/status.json"]), checksums_of(runs[0].results)
    assert status["checksums_of_run"] == own
    assert status["checksums"]["model.safetensors"] == own["model.safetensors"]


def test_every_bit_of_the_logits_and_every_column_comes_back(tmp_path: Path, cxr_report: Command) -> None:
    runs = write_folds(tmp_path / "tree")
    rng = np.random.default_rng(0)
    for files in runs:
        table = pd.read_csv(files.predictions)
        table["logit"] = rng.standard_normal(len(table)).astype(np.float32)
        write_csv(files.predictions, table)
        state_done(files)
    assert cxr_report(tmp_path / "tree", "--archive", tmp_path / "a.tar.xz").code == 0
    with opened_archive(tmp_path / "a.tar.xz") as tree:
        for files in runs:
            there = read_run(tree / files.path.relative_to(tmp_path / "tree")).predictions()
            here = read_run(files.path).predictions().drop(columns="probability")
            assert there.equals(here)
            assert (there["logit"].to_numpy() == here["logit"].to_numpy()).all()
        assert list(there.columns) == ["split", "name", "patient", "label", "logit", "view"]
    assert not tree.exists()


def test_equal_runs_give_equal_bytes_and_an_archive_can_be_packed_again(tmp_path: Path, cxr_report: Command) -> None:
    write_folds(tmp_path / "tree")
    archives = [tmp_path / name for name in ("a.tar.xz", "b.tar.xz", "c.tar.xz")]
    for archive, root in zip(archives, [tmp_path / "tree", tmp_path / "tree", archives[0]], strict=True):
        assert cxr_report(root, "--archive", archive).code == 0
    assert len({archive.read_bytes() for archive in archives}) == 1


def test_runs_are_added_to_an_archive_each_once(elsewhere: Path, cxr_report: Command) -> None:
    write_folds(elsewhere / "first", num_folds=2)
    write_folds(elsewhere / "second", num_folds=2)
    write_run(elsewhere / "second", "another", data=HOSPITAL)
    for tree in ("first", "second"):
        state_claims(load_study(), elsewhere / tree)
    assert cxr_report("first", "--archive", "a.tar.xz", "--restate", "title=Ward 8").code == 0
    answer = cxr_report("second", "--archive", "a.tar.xz", "--add")
    assert "a.tar.xz, 5 runs, 0.0 MB; without 4 that it has already" in answer.out
    with opened_archive(elsewhere / "a.tar.xz") as tree:
        paths = [path.relative_to(tree).parts for path in find_run_dirs(tree)]
        assert [parts for parts in paths if parts[0] == "second"] == [
            ("second", "runs", "another-0123456789", "seed=0")
        ]
        assert len(paths) == 5
        assert sorted(path.relative_to(tree).parts[0] for path in tree.rglob("studies/*.json")) == ["second", "studies"]
        runs = [read_run(path) for path in find_run_dirs(tree)]
        assert {run.data["title"] for run in runs} == {"Ward 8", "Ward 7"}
    assert cxr_report("second", "--archive", "b.tar.xz", "--add").code == 2
    assert cxr_report("second", "--add").code == 2


def test_runs_that_do_not_count_are_not_taken_and_that_is_said(tmp_path: Path, cxr_report: Command) -> None:
    runs = write_folds(tmp_path / "tree")
    runs[0].predictions.write_text(runs[0].predictions.read_text().replace("0", "1", 1))
    runs[1].metrics.write_text("{}")
    write_run(tmp_path / "tree", "going", status={"state": "running"}, data=HOSPITAL)
    write_run(tmp_path / "tree", "broken", status={"state": "failed", "error": "no disk"}, data=HOSPITAL)
    write_run(tmp_path / "tree", "high", status={"state": "failed", "diverged": True, "error": "nan"}, data=HOSPITAL)
    answer = cxr_report(tmp_path / "tree", "--archive", tmp_path / "a.tar.xz")
    assert "5 runs" in answer.err + answer.out
    assert "without 2 altered; without 1 failed; without 1 running" in answer.err + answer.out
    with opened_archive(tmp_path / "a.tar.xz") as tree:
        states = [read_run(path).state for path in find_run_dirs(tree)]
    assert sorted(states) == ["done"] * 4 + ["failed"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--archive", "a.zip"], "--archive=a.zip: is the file to write, NAME.tar.xz"),
        (["--archive", "a.tar.xz", "--hide-names"], "not with --hide-names"),
        (["--archive", "a.tar.xz", "--out", "b"], "not with --out"),
        (["--archive", "a.tar.xz", "--restate", "seed=3"], "with one of root, path, file, title, citation, licence"),
        (["--archive", "a.tar.xz", "--restate", "title"], "is KEY=VALUE"),
        (["--archive", "a.tar.xz", "--restate", "file=x.csv"], "none of these runs has data.file"),
        (["--restate", "title=x"], "--restate goes with --archive FILE"),
        (["--archive", "nowhere/../tree/runs/x/a.tar.xz"], "cannot be written"),
        (["--verify", "nowhere"], "--verify=nowhere: no such folder"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, elsewhere: Path, cxr_report: Command, words: list[str], said: str
) -> None:
    write_run(elsewhere / "tree", data=HOSPITAL)
    (elsewhere / "tree" / "runs" / "x").write_text("a file, no folder")
    answer = cxr_report("tree", *words)
    assert (answer.code, answer.err.count("\n"), said in answer.err) == (2, 1, True), answer.err
    assert not (elsewhere / "a.tar.xz").exists()


@pytest.mark.parametrize("root", ["nowhere", "empty", "tree/runs/linear-0123456789/seed=0"])
def test_a_folder_without_runs_is_no_archive(elsewhere: Path, cxr_report: Command, root: str) -> None:
    (elsewhere / "empty").mkdir()
    write_run(elsewhere / "tree", data=HOSPITAL)
    answer = cxr_report(root, "--archive", "a.tar.xz")
    assert (answer.code, answer.err.startswith(f"cxr-report: ROOT={root}: ")) == (2, True), answer.err


def test_damage_anywhere_in_an_archive_is_noticed(tmp_path: Path, cxr_report: Command) -> None:
    write_folds(tmp_path / "tree")
    archive = tmp_path / "a.tar.xz"
    assert cxr_report(tmp_path / "tree", "--archive", archive).code == 0
    whole = archive.read_bytes()
    places = np.random.default_rng(0).choice(len(whole), 40, replace=False)
    damaged = [
        bytes(byte ^ (1 << place % 8) if at == place else byte for at, byte in enumerate(whole)) for place in places
    ]
    for content in [*damaged, whole[:-1], whole[:1000], b"", b"PK\x03\x04"]:
        archive.write_bytes(content)
        with pytest.raises(UserError, match=r"ROOT=.*a\.tar\.xz: is no archive of cxr-report"), opened_archive(archive):
            pass


def test_what_is_inside_of_an_archive_has_to_be_what_was_written(tmp_path: Path, cxr_report: Command) -> None:
    write_folds(tmp_path / "tree")
    assert cxr_report(tmp_path / "tree", "--archive", tmp_path / "a.tar.xz").code == 0
    files, forged = members(tmp_path / "a.tar.xz"), tmp_path / "b.tar.xz"
    table = "predictions/1.float32"
    cases = {
        "has changed since": {**files, table: b"\0" + files[table][1:]},
        "or one that was changed": {
            **files,
            "archive.json": files["archive.json"].replace(b'"format": 1', b'"format": 2'),
        },
        "format 2, this version reads 1": with_contents(files, tmp_path, format=2),
        "No such file": {name: content for name, content in files.items() if name != table},
        "which is not in it": {name: content for name, content in files.items() if "seed=1/status" not in name},
    }
    for said, content in cases.items():
        with pytest.raises(UserError, match=said), opened_archive(forge(forged, content)):
            pass
    name = next(name for name in files if name.endswith("metrics.json"))
    changed = {**files, name: files[name].replace(b'"tp": ', b'"tp": 1')}
    answer = cxr_report(forge(forged, changed), "--out", tmp_path / "out")
    assert "5 finished runs" in answer.out
    assert "altered" in (tmp_path / "out" / "tables" / "left_out.csv").read_text()


@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped", "a/../../escaped", "c:\\escaped", "..\\escaped"])
def test_no_file_is_written_or_read_outside(tmp_path: Path, cxr_report: Command, name: str) -> None:
    write_folds(tmp_path / "tree")
    assert cxr_report(tmp_path / "tree", "--archive", tmp_path / "a.tar.xz").code == 0
    files, forged = members(tmp_path / "a.tar.xz"), tmp_path / "b.tar.xz"
    table, *others = json.loads(files["archive.json"])["tables"]
    checksums = dict(zip([name, "predictions/1.float32"], table["checksums"].values(), strict=True))
    for content in (
        {**files, name: b""},
        with_contents(files, tmp_path, tables=[table | {"checksums": checksums}, *others]),
        with_contents(files, tmp_path, tables=[table | {"runs": [name, *table["runs"][1:]]}, *others]),
    ):
        with pytest.raises(UserError, match="is no archive"), opened_archive(forge(forged, content)):
            pass


def test_neither_links_nor_bombs_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tarfile.TarInfo("runs")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    with tarfile.open(tmp_path / "a.tar.xz", "w:xz") as archive:
        archive.addfile(link)
    with pytest.raises(UserError, match="which is no file"), opened_archive(tmp_path / "a.tar.xz"):
        pass
    monkeypatch.setattr(opening, "MOST_BYTES", 2**20)
    (tmp_path / "b.tar.xz").write_bytes(lzma.compress(bytes(2**24)))
    assert (tmp_path / "b.tar.xz").stat().st_size < 10_000
    with pytest.raises(UserError, match="more than 1,048,576 bytes"), opened_archive(tmp_path / "b.tar.xz"):
        pass


def test_a_report_that_differs_from_the_published_one_fails_and_names_the_file(tmp_path: Path) -> None:
    out, published = tmp_path / "out", tmp_path / "published"
    for folder in (out, published):
        (folder / "tables").mkdir(parents=True)
        (folder / "report.md").write_text("# Results\n")
        (folder / "tables" / "runs.csv").write_text("path\n")
        (folder / "manifest.json").write_text(folder.name)  # describes a report, and is no part of it
    (out / "index.html").write_text("a page")
    assert verify_report(out, published) == f"2 files as in {published}"
    sums = published / "SHA256SUMS"
    sums.write_text(f"{digest('a page')}  ./index.html\n")
    assert verify_report(out, published) == f"3 files as in {published}"
    sums.write_text(f"{digest('another page')}  ./index.html\n{digest('')}  tables/nothing.csv\n")
    (published / "report.md").write_text("# Something else\n")
    with pytest.raises(RunFailedError) as error:
        verify_report(out, published)
    assert str(error.value) == f"{out} is not what {published} has: index.html, report.md, tables/nothing.csv (missing)"
    sums.write_text("nonsense\n")
    with pytest.raises(UserError, match="line 1 is no line of sha256sum"):
        verify_report(out, published)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="holds no file of a report"):
        verify_report(out, empty)


def test_predictions_are_divided_and_joined() -> None:
    content = b'split,name,label,logit,probability,view\nval,"a,b",1,-0.25,0.4,AP\ntest,c,0,1e-08,0.5,\ntest,d,0,,,\n'
    images, logits = split_predictions(content)
    assert images.header == ("split", "name", "label", "view")
    assert (logits.dtype, logits[:2].tolist()) == (np.float32, [-0.25, float(np.float32(1e-8))])
    joined = b'split,name,label,logit,view\nval,"a,b",1,-0.25,AP\ntest,c,0,1e-08,\ntest,d,0,,\n'
    assert join_predictions(images, logits) == joined
    assert read_images(write_images(images), 3) == images
    wide, other = split_predictions(joined.replace(b"-0.25", b"-0.123456789"))
    assert (wide, other.dtype, other[0]) == (images, np.float64, -0.123456789)
    for damaged in (b"", b"split,name,label\n", b'split,logit\nval,"1\n', b"split,logit\nval\n", b"\xff,logit\n"):
        with pytest.raises(ValueError, match=r"."):
            split_predictions(damaged)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_matrix_of_logits_comes_back_bit_by_bit(dtype: str) -> None:
    numbers = np.random.default_rng(0).standard_normal((3, 7)).astype(dtype)
    numbers[1, 2] = np.nan
    content = write_matrix(list(numbers))
    assert read_matrix(content, dtype, 3).tobytes() == numbers.tobytes()
    for wrong in ((content[:-1], dtype, 3), (content, dtype, 4), (content, "int32", 3)):
        with pytest.raises(ValueError, match=r"."):
            read_matrix(*wrong)

"""Writes archives: a tree of outputs in one compact file, from which a report is made without training."""

import lzma
import shutil
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from cxr_runner.artifacts.altered import read_status, recorded_checksums
from cxr_runner.artifacts.archive.logit_tables import (
    Logits,
    TestedImages,
    split_predictions,
    write_images,
    write_matrix,
)
from cxr_runner.artifacts.archive.restating import SETTINGS, restate_config, restate_description
from cxr_runner.artifacts.rundir import Run, RunDir, differs, find_run_dirs, read_run
from cxr_runner.base.checked_json import write_checked_json
from cxr_runner.base.checksums import checksum, checksum_of_file
from cxr_runner.base.errors import UserError
from cxr_runner.base.files import MOST_CSV, read_content, replacing, write_json, write_yaml
from cxr_runner.base.numbers import plural
from cxr_runner.base.progress import Reporter
from cxr_runner.base.scratch import scratch_folder

ENDING = ".tar.xz"
ARCHIVE_FORMAT = 1  # raised when an older reader would read a newer archive wrongly
CONTENTS, PREDICTIONS = "archive.json", "predictions"
BESIDE_RUNS = (
    *("studies/*.json", "audits/*/audit.json", "evaluations/*/evaluation.json", "evaluations/*/predictions.csv"),
    *("members.json", "operating_point.json"),
)
"""What lies beside runs and is taken as it is: when claims were stated, audits, evaluations on foreign images."""


@dataclass
class _Packed:
    """What has been put into an archive so far.

    Attributes:
        folder: holds the files.
        tables: logits [images] by the path of a run, for all runs on the same images whose logits are of one type.
        left_out: how many runs were not taken, by the reason.
        taken: names of the directories of those that were: NAME-ID and seed=K.
    """

    folder: Path
    tables: dict[tuple[TestedImages, str], dict[str, Logits]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    taken: set[tuple[str, str]] = field(default_factory=set)


def pack(root: Path, path: Path, restated: Mapping[str, str], reporter: Reporter, earlier: Path | None = None) -> None:
    """Write an archive of the runs below a folder; equal runs give equal bytes.

    Runs that are done or diverged are taken: configuration, status, data, history, metrics, and what they say of the
    images of val and test. Weights, figures and images are not; the checksums of weights stay in ``status.json``.

    Args:
        root: outputs tree, or a folder of several.
        path: file to write, replaced where it exists.
        restated: what is said otherwise of the images, see :func:`.restating.read_restated`.
        reporter: shown the progress.
        earlier: folder of an opened archive whose runs are taken first, as they are; those of ``root`` then lie in a
            folder of its name, but for those that are there already.

    Raises:
        UserError: there is no such folder, no finished run in it, no run has what is restated, or the file is none
            that can be written.
    """
    if not path.name.endswith(ENDING):
        raise UserError.for_key("--archive", path, f"is the file to write, NAME{ENDING}")
    paths = [run for run in find_run_dirs(root) if len(run.relative_to(root).parts) > 1]
    if not paths:
        raise UserError.for_key("ROOT", root, "is no folder of outputs with runs in it")
    with scratch_folder("cxr-archive-") as folder:
        packed = _Packed(folder)
        place = Path() if earlier is None else Path(root.resolve().name)
        if earlier is not None:
            _pack_tree(earlier, find_run_dirs(earlier), Path(), {}, packed, reporter)
        _pack_tree(root, paths, place, restated, packed, reporter)
        _check(packed, root, restated)
        _write_tables(packed, restated)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(folder, path)
        except OSError as error:
            raise UserError.for_key("--archive", path, f"cannot be written ({error.strerror})") from None
    without = "".join(f"; without {number} {reason}" for reason, number in sorted(packed.left_out.items()))
    size = path.stat().st_size / 1e6
    reporter.line(f"archive: {path}, {plural(len(packed.taken), 'run')}, {size:.1f} MB{without}")


def _pack_tree(
    root: Path,
    paths: Sequence[Path],
    place: Path,
    restated: Mapping[str, str],
    packed: _Packed,
    reporter: Reporter,
) -> None:
    """Put the runs of a tree into a folder of the archive, and what lies beside them."""
    with reporter.steps("packing runs", len(paths)) as advance:
        for path in paths:
            if (run := (path.parent.name, path.name)) in packed.taken:
                packed.left_out["that it has already"] += 1
            elif _pack_run(path, place / path.relative_to(root), restated, packed):
                packed.taken.add(run)
            advance()
    for pattern in BESIDE_RUNS:
        for path in sorted(root.rglob(pattern)):
            target = packed.folder / place / path.relative_to(root)
            if path.is_file() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)


def _pack_run(path: Path, name: Path, restated: Mapping[str, str], packed: _Packed) -> bool:
    """Put a run into the archive, or count why it is not; return whether it is."""
    run, files = read_run(path), RunDir(path)
    if run.state != "done" and not run.diverged:
        packed.left_out[run.state] += 1
        return False
    contents = {file.name: read_content(file, MOST_CSV) for file in (files.history, files.predictions, files.metrics)}
    if any(differs(file, content, run.checksums) for file, content in contents.items()):
        packed.left_out["altered"] += 1
        return False
    predictions = contents.pop(files.predictions.name)
    try:
        parts = None if predictions is None else split_predictions(predictions)
    except ValueError:
        packed.left_out["damaged"] += 1
        return False
    if parts is not None:
        images, logits = parts
        packed.tables.setdefault((images, logits.dtype.name), {})[name.as_posix()] = logits
    target = RunDir(packed.folder / name)
    target.path.mkdir(parents=True)
    for file, content in contents.items():
        if content is not None:
            (target.path / file).write_bytes(content)
    write_yaml(target.config, restate_config(run.config, restated))
    write_json(target.data, restate_description(run.data, restated))
    write_checked_json(target.status, _restate_status(run, target))
    return True


def _restate_status(run: Run, target: RunDir) -> dict[str, Any]:
    """Return a status with the checksums of what the archive says otherwise, and those of the run beside them.

    Predictions have none of their own in an archive: their tables have.
    """
    status, _ = read_status(RunDir(run.path).status)
    recorded = recorded_checksums(status)
    content = {key: value for key, value in status.items() if key not in ("host", "traceback")}
    if recorded:
        changed = {file.name: checksum_of_file(file) for file in (target.config, target.data)}
        changed = {name: value for name, value in changed.items() if recorded.get(name) != value}
        kept = {name: value for name, value in recorded.items() if name != target.predictions.name}
        content["checksums"] = kept | changed
        content["checksums_of_run"] = status.get("checksums_of_run", recorded)
    return content


def _check(packed: _Packed, root: Path, restated: Mapping[str, str]) -> None:
    configs = [read_run(path).config for path in find_run_dirs(packed.folder)]
    if not configs:
        reasons = ", ".join(f"{number} {reason}" for reason, number in packed.left_out.items())
        raise UserError.for_key("ROOT", root, f"holds no finished run ({reasons})")
    for key in restated.keys() & set(SETTINGS):
        if not any(key in config.get("data", {}) for config in configs):
            raise UserError(f"--restate {key}={restated[key]}: none of these runs has data.{key}")


def _write_tables(packed: _Packed, restated: Mapping[str, str]) -> None:
    """Write the tables of predictions, and the table of contents."""
    (packed.folder / PREDICTIONS).mkdir()
    tables = [_pack_table(packed.folder, number, *table) for number, table in enumerate(packed.tables.items(), 1)]
    left_out = dict(packed.left_out)
    contents = {"format": ARCHIVE_FORMAT, "restated": dict(restated), "left_out": left_out, "tables": tables}
    write_checked_json(packed.folder / CONTENTS, contents)


def _pack_table(folder: Path, number: int, key: tuple[TestedImages, str], runs: Mapping[str, Logits]) -> dict[str, Any]:
    """Write a table of images and the matrix of the logits of runs on them; return what is to be said of them."""
    images, dtype = key
    contents = {"csv": write_images(images), dtype: write_matrix(list(runs.values()))}
    for ending, content in contents.items():
        (folder / PREDICTIONS / f"{number}.{ending}").write_bytes(content)
    checksums = {f"{PREDICTIONS}/{number}.{ending}": checksum(content) for ending, content in contents.items()}
    return {"checksums": checksums, "position": images.position, "dtype": dtype, "runs": list(runs)}


def _write(folder: Path, path: Path) -> None:
    """Write the files below a folder; like files together, which makes the archive small."""
    names = [PurePosixPath(file.relative_to(folder).as_posix()) for file in folder.rglob("*") if file.is_file()]
    names.sort(key=lambda name: (str(name) != CONTENTS, name.name, str(name)))
    with (
        replacing(path) as temporary,
        lzma.open(temporary, "wb", preset=9 | lzma.PRESET_EXTREME) as compressed,
        tarfile.open(fileobj=compressed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in names:
            member = tarfile.TarInfo(str(name))  # without times and owners: equal runs give equal bytes
            member.size = (folder / name).stat().st_size
            with (folder / name).open("rb") as file:
                archive.addfile(member, file)

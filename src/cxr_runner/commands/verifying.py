"""Whether a report is the one that was published, byte for byte."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from cxr_runner.base.checksums import digest_of_file
from cxr_runner.base.errors import RunFailedError, UserError
from cxr_runner.base.numbers import plural

SUMS = "SHA256SUMS"
_OURS = {".lock", "manifest.json", SUMS}  # what describes a report and is no part of it


def verify_report(out: Path, published: Path) -> str:
    """Compare a report with a published one, or with the files of it that were published.

    Args:
        out: folder of the report.
        published: holds files of a report, and for those that it does not hold their checksums in ``SHA256SUMS``, as
            ``sha256sum`` writes them.

    Returns:
        What was compared, in a line.

    Raises:
        UserError: there is no such folder, or it holds nothing to compare.
        RunFailedError: files differ; they are named.
    """
    if not published.is_dir():
        raise UserError.for_key("--verify", published, "no such folder; give one with files of a report")
    expected = dict([*_sums(published / SUMS), *_files(published)])
    if not expected:
        raise UserError.for_key("--verify", published, f"holds no file of a report, and no {SUMS}")
    made = {name: digest_of_file(path) for name in expected if (path := out / name).is_file()}
    differing = [name if name in made else f"{name} (missing)" for name in expected if made.get(name) != expected[name]]
    if differing:
        raise RunFailedError(f"{out} is not what {published} has: {', '.join(sorted(differing))}")
    return f"{plural(len(expected), 'file')} as in {published}"


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in _OURS:
            yield name, digest_of_file(path)


def _sums(path: Path) -> Iterator[tuple[str, str]]:
    """Yield names and checksums from a file of ``sha256sum``."""
    if not path.is_file():
        return
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        checksum, _, name = line.partition("  ")
        name = name.removeprefix("./")
        if len(checksum) != 64 or not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UserError(f"{path}: line {number} is no line of sha256sum")
        yield name, checksum

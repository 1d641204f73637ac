"""Which commit of a set on the Hub is meant, and which parquet files it has; kept, so that a start may be offline.

What is kept lies in the set's own folder of the Hugging Face cache and goes with it. The library's notes on branches
are left alone: other programs take the files of the commit that stands there for complete.
"""

import os
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr_runner.base.errors import UserError
from cxr_runner.base.files import read_json, write_json
from cxr_runner.base.numbers import list_few
from cxr_runner.data.sources import untidy
from cxr_runner.data.sources.download import (
    REACH_SECONDS,
    HubError,
    UnreachableError,
    ask,
    explain_failure,
    find_endpoint,
    no_hub,
    quiet,
)
from cxr_runner.data.sources.walk import suffix_of

if TYPE_CHECKING:
    from cxr_runner.data.sources.hub_set import HubSet

CONVERSION = "refs/convert/parquet"
"""Branch on which the Hub keeps its own conversion of a set whose main branch holds other files."""

_COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class Commit:
    """A commit of a set.

    Attributes:
        id: 40 hex digits.
        branch: branch or tag that it was the state of; '' where it was asked for itself.
    """

    id: str
    branch: str = ""


@dataclass(frozen=True)
class _State:
    """What the Hub says of a branch: its commit, and the names of all its files."""

    commit: str
    files: Sequence[str]

    @property
    def parquet(self) -> list[str]:
        return sorted(name for name in self.files if is_parquet(name))


@dataclass(frozen=True)
class _Kept:
    """What was learned of a set before: the commits of branches, and the parquet files of commits."""

    path: Path
    branches: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[str]] = field(default_factory=dict)

    def keep(self) -> None:
        with suppress(OSError):  # a cache that cannot be written to: the next start asks again
            (self.path.parent / "snapshots").mkdir(parents=True, exist_ok=True)  # else the library calls it damaged
            write_json(self.path, {"branches": self.branches, "files": self.files})


def is_parquet(name: str) -> bool:
    """Return whether a file of a set is a table whose name leads nowhere else."""
    parts = name.split("/")
    hidden = any(part.startswith(".") or not part for part in parts)  # .. as well
    return name.lower().endswith(".parquet") and not hidden and not untidy([name])


def find_commit(described: "HubSet") -> Commit:
    """Return the commit that is meant; without an answer of the Hub, the one that was meant before.

    Raises:
        UserError: there is no such revision, or it has no parquet files.
        HubError: there is no such set, or the Hub does not answer and never did.
    """
    if described.revision is not None and _COMMIT.fullmatch(described.revision):
        return Commit(described.revision)
    kept = _read_kept(described.repo)
    key = described.revision or ""
    try:
        branch, state = _find_state(described)
    except UnreachableError as error:
        if key not in kept.branches:
            raise
        branch, commit = kept.branches[key]
        said = f"{described.repo}: {error.problem}; {branch} as last seen is used, commit {commit}"
        print(said, file=sys.stderr, flush=True)
        return Commit(commit, branch)
    kept.branches[key] = [branch, state.commit]
    kept.files[state.commit] = state.parquet
    kept.keep()
    return Commit(state.commit, branch)


def list_files(described: "HubSet", commit: str) -> list[str]:
    """Return the names of the parquet files of a commit, sorted.

    Raises:
        UserError, HubError: as :func:`find_commit` does.
    """
    kept = _read_kept(described.repo)
    if commit not in kept.files:
        state = _ask_state(described, commit)
        if not state.parquet:
            raise _no_tables(described, state, commit)
        kept.files[commit] = state.parquet
        kept.keep()
    return kept.files[commit]


def _find_state(described: "HubSet") -> tuple[str, _State]:
    """Return the branch or tag that is meant, and its state."""
    branch = described.revision or "main"
    state = _ask_state(described, branch)
    if state.parquet:
        return branch, state
    if described.revision is not None:
        raise _no_tables(described, state, branch)
    try:
        converted = _ask_state(described, CONVERSION)
    except UserError:  # there is no such branch
        raise _no_tables(described, state, "main") from None
    if not converted.parquet:
        raise _no_tables(described, state, "main")
    return CONVERSION, converted


def _no_tables(described: "HubSet", state: _State, revision: str) -> UserError:
    suffixes = Counter(suffix_of(name) or "no suffix" for name in state.files)
    listed = list_few([f"{number:,} {suffix}" for suffix, number in suffixes.most_common()]) or "no files"
    if described.revision is not None:
        valid = f"has no parquet files ({listed}); null takes main or the Hub's conversion, {CONVERSION}"
        return UserError.for_key("data.revision", described.revision, valid)
    valid = f"{revision} has no parquet files ({listed}) and the Hub no conversion of them ({CONVERSION})"
    return described.error(f"{valid}; download it and give data=folder data.root=DIR (folders of images)")


def _ask_state(described: "HubSet", revision: str) -> _State:
    """Ask the Hub for the commit and the files of a revision."""
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")  # as for a download, before the library is imported
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RevisionNotFoundError

    endpoint = find_endpoint()
    api = HfApi(endpoint=endpoint)
    with quiet():
        try:
            info = ask(lambda: api.dataset_info(described.repo, revision=revision, timeout=REACH_SECONDS))
        except HFValidationError as error:
            raise HubError(f"this is not the name of a data set ({str(error).splitlines()[0]})") from None
        except RevisionNotFoundError as error:
            valid = f"{described.repo} has no such commit, branch or tag (HTTP 404)"
            raise UserError.for_key("data.revision", described.revision or revision, valid) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:  # an answer, but not the Hub's
            raise no_hub(endpoint) from error
        except Exception as error:
            raise _explain(endpoint, error) from error
    names = [sibling.rfilename for sibling in info.siblings or ()]
    if not isinstance(info.sha, str) or not _COMMIT.fullmatch(info.sha):
        raise no_hub(endpoint)
    return _State(info.sha, names)


def _explain(endpoint: str, error: Exception) -> HubError:
    """Say why the Hub says nothing of a set. To strangers it says the same of sets that are private or do not exist."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 404):
        return HubError(
            f"no such data set at {endpoint}, or a private one (HTTP {status}); check its name and HF_TOKEN"
        )
    return explain_failure(endpoint, "it", error)


def _read_kept(repo: str) -> _Kept:
    from huggingface_hub import constants

    path = Path(constants.HF_HUB_CACHE) / "--".join(["datasets", *repo.split("/")]) / "cxr_runner.json"
    content = read_json(path) or {}
    kept = _Kept(path)
    kept.branches.update({key: pair for key, pair in _lists(content.get("branches")).items() if len(pair) == 2})
    kept.files.update(_lists(content.get("files")))
    return kept


def _lists(content: Any) -> Mapping[str, list[str]]:
    """Return those entries of a part of a file that are lists of text: others may have written it."""
    if not isinstance(content, dict):
        return {}
    return {
        key: value
        for key, value in content.items()
        if isinstance(value, list) and all(isinstance(one, str) for one in value)
    }

"""Files of a data set on the Hugging Face Hub, fetched into its ordinary cache or refused in one line."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from cxr_runner.base.errors import UserError

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata


REACH_SECONDS = 5.0  # within which the Hub must give its first answer about a file

ALTERNATIVES = "give data.path=DIR (a copy of its parquet files) or data=folder data.root=DIR (folders of images)"


def fetch(repo: str, revision: str, name: str) -> Path:
    """Return a file from the Hugging Face cache, after downloading it where it is missing.

    A connection that breaks off is taken up again where it broke; after the end of the program the file begins
    anew. ``HF_HOME`` and ``HF_ENDPOINT`` are obeyed, and a file that is in the cache needs no network.

    Args:
        repo: owner and name of the data set.
        revision: full commit hash.
        name: path of the file in the data set.

    Raises:
        UserError: the Hub cannot be reached, refuses, does not have the file, or breaks off for good.
    """
    # The Hub's newer transfer protocol says nothing for minutes where a firewall blocks its servers; plain HTTP
    # gives up and says so. The library reads this when it is imported.
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

    cached = try_to_load_from_cache(repo, name, revision=revision, repo_type="dataset")
    if isinstance(cached, str):
        return Path(cached)
    endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    with _quiet():
        size = _reach(endpoint, repo, revision, name)
        # The library's bar shows on terminals only; in the log of a batch job this line has to do.
        print(f"downloading {repo} {name} ({size / 1e6:,.1f} MB) from {endpoint}", file=sys.stderr, flush=True)
        try:
            return Path(hf_hub_download(repo, name, repo_type="dataset", revision=revision, endpoint=endpoint))
        except Exception as error:
            raise _failure(endpoint, name, error, f"the download of {name} from {endpoint} broke off") from error


def reason(error: BaseException) -> str:
    """Put the innermost useful message of an error into one line."""
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    if isinstance(error, LocalEntryNotFoundError) and error.__cause__:
        error = error.__cause__
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set"
    lines = str(error).strip().splitlines() or ["no answer" if isinstance(error, TimeoutError) else repr(error)]
    return lines[0]


def _reach(endpoint: str, repo: str, revision: str, name: str) -> int:
    """Return the size of a file in bytes, or fail soon: the download itself would retry for minutes."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(repo, name, repo_type="dataset", revision=revision, endpoint=endpoint)
    answer: Future[HfFileMetadata] = Future()

    def ask() -> None:
        try:
            answer.set_result(get_hf_file_metadata(url, timeout=REACH_SECONDS))
        except Exception as error:
            answer.set_exception(error)

    # The time-out of the request bounds neither the look-up of the host nor the tries of several addresses.
    Thread(target=ask, daemon=True).start()
    try:
        metadata = answer.result(timeout=REACH_SECONDS + 1)
    except Exception as error:
        raise _failure(endpoint, name, error, f"cannot reach the Hugging Face Hub at {endpoint}") from error
    if metadata.commit_hash is None or metadata.etag is None or metadata.size is None:
        problem = f"what answers at {endpoint} is not the Hugging Face Hub; check proxy, login page and HF_ENDPOINT"
        raise UserError.for_key("data", "chest_xray", f"{problem}; {ALTERNATIVES}")
    return metadata.size


def _failure(endpoint: str, name: str, error: Exception, otherwise: str) -> UserError:
    """Say what an error means to the user; `otherwise` where the Hub gave no status."""
    status = getattr(getattr(error.__cause__ or error, "response", None), "status_code", None)
    if status is None:
        problem = f"{otherwise} ({reason(error)})"
    elif status in (401, 403):
        problem = f"{endpoint} refuses {name} (HTTP {status}); check HF_TOKEN"
    elif status == 404:
        problem = f"{endpoint} does not have {name} (HTTP 404)"
    else:
        problem = f"{endpoint} is out of order (HTTP {status}); try again later"
    return UserError.for_key("data", "chest_xray", f"{problem}; {ALTERNATIVES}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings and request logs of the libraries from the user, who gets one line instead."""
    loggers = [logging.getLogger(name) for name in ("huggingface_hub", "httpx", "httpx2")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

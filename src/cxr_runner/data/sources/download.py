"""Files of a data set on the Hugging Face Hub, fetched into its ordinary cache or refused in one line."""

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TypeVar

REACH_SECONDS = 5.0  # within which the Hub must give its first answer about a file

ALTERNATIVES = "give data.path=DIR (a copy of its parquet files) or data=folder data.root=DIR (folders of images)"

_Answer = TypeVar("_Answer")


class HubError(Exception):
    """What is wanted is not to be had from the Hub; the message says why, and what else can be done."""

    def __init__(self, problem: str) -> None:
        """Join the ways out to a problem."""
        super().__init__(f"{problem}; {ALTERNATIVES}")
        self.problem = problem


class UnreachableError(HubError):
    """The Hub gives no answer now, or none of its own: what is in the cache has to do."""


def fetch(repo: str, revision: str, name: str) -> Path:
    """Return a file from the Hugging Face cache, after downloading it where it is missing.

    A connection that breaks off is taken up again where it broke; after the end of the program the file begins
    anew. ``HF_HOME`` and ``HF_ENDPOINT`` are obeyed, and a file that is in the cache needs no network.

    Args:
        repo: owner and name of the data set.
        revision: full commit hash.
        name: path of the file in the data set.

    Raises:
        HubError: the Hub cannot be reached, refuses, does not have the file, or breaks off for good.
    """
    # The Hub's newer transfer protocol says nothing for minutes where a firewall blocks its servers; plain HTTP
    # gives up and says so. The library reads this when it is imported.
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    cached = try_to_load_from_cache(repo, name, revision=revision, repo_type="dataset")
    if isinstance(cached, str):
        return Path(cached)
    endpoint = find_endpoint()
    with quiet():
        size = _reach(endpoint, repo, revision, name)
        # The library's bar shows on terminals only; in the log of a batch job this line has to do.
        print(f"downloading {repo} {name} ({size / 1e6:,.1f} MB) from {endpoint}", file=sys.stderr, flush=True)
        try:
            return Path(hf_hub_download(repo, name, repo_type="dataset", revision=revision, endpoint=endpoint))
        except Exception as error:
            broken = f"the download of {name} from {endpoint} broke off"
            raise explain_failure(endpoint, name, error, broken) from error


def find_endpoint() -> str:
    """Return the address of the Hub, without a slash at its end."""
    from huggingface_hub import constants

    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def reason(error: BaseException) -> str:
    """Put the innermost useful message of an error into one line."""
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    if isinstance(error, LocalEntryNotFoundError) and error.__cause__:
        error = error.__cause__
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set"
    lines = str(error).strip().splitlines() or ["no answer" if isinstance(error, TimeoutError) else repr(error)]
    return lines[0]


def ask(question: Callable[[], _Answer]) -> _Answer:
    """Return the answer to a request, or raise what it raises, but soon."""
    answer: Future[_Answer] = Future()

    def wait() -> None:
        try:
            answer.set_result(question())
        except Exception as error:
            answer.set_exception(error)

    # The time-out of the request bounds neither the look-up of the host nor the tries of several addresses.
    Thread(target=wait, daemon=True).start()
    return answer.result(timeout=REACH_SECONDS + 1)


def no_hub(endpoint: str) -> HubError:
    """Say that something else answers where the Hub should."""
    return UnreachableError(
        f"what answers at {endpoint} is not the Hugging Face Hub; check proxy, login page and HF_ENDPOINT"
    )


def explain_failure(endpoint: str, what: str, error: Exception, otherwise: str | None = None) -> HubError:
    """Say what an error means to the user.

    Args:
        endpoint: address of the Hub.
        what: what was asked for: a file, or the set itself.
        error: what the library has raised.
        otherwise: what has failed where the Hub gave no status.
    """
    from huggingface_hub.errors import GatedRepoError

    otherwise = otherwise or f"cannot reach the Hugging Face Hub at {endpoint}"
    status = getattr(getattr(error.__cause__ or error, "response", None), "status_code", None)
    if status is None:
        return UnreachableError(f"{otherwise} ({reason(error)})")
    if isinstance(error, GatedRepoError) or isinstance(error.__cause__, GatedRepoError):
        asking = "ask for access on its page and set HF_TOKEN"
        return HubError(f"{endpoint} gives {what} only to whom access was granted (HTTP {status}); {asking}")
    if status in (401, 403):
        return HubError(f"{endpoint} refuses {what} (HTTP {status}); check HF_TOKEN")
    if status == 404:
        return HubError(f"{endpoint} does not have {what} (HTTP 404)")
    return UnreachableError(f"{endpoint} is out of order (HTTP {status}); try again later")


def _reach(endpoint: str, repo: str, revision: str, name: str) -> int:
    """Return the size of a file in bytes, or fail soon: the download itself would retry for minutes."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(repo, name, repo_type="dataset", revision=revision, endpoint=endpoint)
    try:
        metadata = ask(lambda: get_hf_file_metadata(url, timeout=REACH_SECONDS))
    except Exception as error:
        raise explain_failure(endpoint, name, error) from error
    if metadata.commit_hash is None or metadata.etag is None or metadata.size is None:
        raise no_hub(endpoint)
    return metadata.size


@contextmanager
def quiet() -> Iterator[None]:
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

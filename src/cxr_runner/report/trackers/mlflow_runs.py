"""Runs in MLflow: one of its runs for each, in the experiment ``cxr_runner``."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cxr_runner.base.errors import UserError
from cxr_runner.report.trackers.tracked_run import TrackedRun, param_text

EXPERIMENT = "cxr_runner"
_SENT = "cxr_runner.digest"  # the last that is written of a run: one without it was cut off
_MOST_METRICS, _MOST_PARAMS = 1000, 100  # that MLflow takes at once
_VALID = "must be a folder, sqlite:///FILE, http://HOST:PORT, https://HOST or databricks"


class MLflowRuns:
    """The runs that an MLflow store holds, and those that it is sent."""

    def __init__(self, destination: str) -> None:
        """Open a store, and look up which runs it has.

        Args:
            destination: a folder, which becomes one with a database and the figures, or the address of a store.

        Raises:
            UserError: it is no address, or nothing answers there.
        """
        uri, self.uri, artifacts = _locate(destination)
        self.hint = f"mlflow ui --backend-store-uri '{self.uri}', where all of MLflow is installed" if artifacts else ""
        with self._explaining():
            self._client = _connect(uri)
            experiment = self._client.get_experiment_by_name(EXPERIMENT)
            if experiment is None:
                self._experiment = self._client.create_experiment(EXPERIMENT, artifact_location=artifacts)
            else:
                self._experiment = experiment.experiment_id
            self._known = self._look_up()

    def send(self, run: TrackedRun) -> bool:
        """Send a run; return False where it is there already, as it is.

        One that has changed since, or was cut off on its way, is replaced.
        """
        known = self._known.get(run.run_id, {})
        same = [made for made, digest in known.items() if digest == run.digest][:1]
        with self._explaining():
            kept = same or [self._write(run)]
            for other in known.keys() - set(same):  # by now replaced, or sent by two processes at once
                self._client.delete_run(other)
        self._known[run.run_id] = dict.fromkeys(kept, run.digest)
        return not same

    def _look_up(self) -> dict[str, dict[str, str]]:
        """Return the digests of the runs that are there, by the run and by what MLflow calls it."""
        known: dict[str, dict[str, str]] = {}
        token = None
        while True:
            page = self._client.search_runs([self._experiment], max_results=1000, page_token=token)
            for run in page:
                tags = run.data.tags
                known.setdefault(tags.get("cxr_runner.run_id", ""), {})[run.info.run_id] = tags.get(_SENT, "")
            if not (token := page.token):
                return known

    def _write(self, run: TrackedRun) -> str:
        """Write a run; return what MLflow calls it."""
        from mlflow.entities import Metric, Param

        started, ended = int(run.started * 1000), int(run.ended * 1000)
        # With its tags from the start: one that is cut off is known as what it is, and replaced.
        tags = {**run.tags, "mlflow.source.name": "cxr-report"}
        made: str = self._client.create_run(self._experiment, started, tags, run.run_id).info.run_id
        metrics = [
            *(
                Metric(key, value, int(epoch.ended * 1000), epoch.number)
                for epoch in run.epochs
                for key, value in epoch.values.items()
            ),
            *(Metric(key, value, ended, 0) for key, value in run.results.items()),
        ]
        params = [Param(key, param_text(value)) for key, value in run.params.items()]
        for begin in range(0, len(metrics), _MOST_METRICS):
            self._client.log_batch(made, metrics=metrics[begin : begin + _MOST_METRICS])
        for begin in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(made, params=params[begin : begin + _MOST_PARAMS])
        for picture in run.pictures:
            self._client.log_artifact(made, str(picture))
        self._client.set_terminated(made, "FAILED" if run.failed else "FINISHED", ended)
        self._client.set_tag(made, _SENT, run.digest)
        return made

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Say in one line what MLflow says in many."""
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (MlflowException, SQLAlchemyError, ImportError, OSError) as error:
            line = (str(error).strip() or type(error).__name__).splitlines()[0]
            reason = "no server answers there" if "Max retries exceeded" in line else line.partition(". ")[0]
            raise UserError.for_key("--tracking-uri", self.uri, _without_password(reason)) from None


def _locate(destination: str) -> tuple[str, str, str | None]:
    """Return the address of a store, the same without a password, and where its figures go; None if it decides."""
    scheme, separator, rest = destination.partition(":")
    if scheme and not separator and scheme != "databricks":
        folder = Path(destination).expanduser().absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError.for_key("--tracking-uri", destination, f"cannot write there ({error.strerror})") from None
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        return uri, uri, (folder / "artifacts").as_uri()
    if scheme == "sqlite" and rest.startswith("///"):
        return destination, destination, (Path(rest[3:]).absolute().parent / "artifacts").as_uri()
    shown = _without_password(destination)
    if scheme not in ("http", "https", "file", "databricks"):
        raise UserError.for_key("--tracking-uri", shown, _VALID)
    return destination, shown, None


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)


def _connect(uri: str) -> Any:
    # MLflow would try for minutes, and tell its makers of every use.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri)

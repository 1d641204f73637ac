"""The Hydra launcher of sweeps on one machine: hands all jobs over at once, so that they can share their work.

It stands here because Hydra finds its plugins in the namespace ``hydra_plugins`` only. Every Hydra application on the
machine imports it, so that it imports nothing but Hydra.
"""

import logging
import os
import re
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from hydra import version
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import (
    JobReturn,
    JobRuntime,
    JobStatus,
    configure_log,
    env_override,
    filter_overrides,
    run_job,
    setup_globals,
)
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

log = logging.getLogger(__name__)

# The default of sweeps of cxr-run, and a choice in any other application.
ConfigStore.instance().store(
    group="hydra/launcher",
    name="stack",
    node={"_target_": "hydra_plugins.cxr_runner_launcher.StackLauncher"},
    provider="cxr_runner",
)


class StackLauncher(Launcher):
    """Hands all jobs of a sweep over at once to a task that takes them so, and one after another to any other.

    A task says that it takes many by a method ``call_together``: given an iterator over configurations, it returns a
    value for each. ``HydraConfig`` is that of a job while its configuration is the last that the iterator gave, and
    that of the first job afterwards.

    A process has one environment, one working directory and one set of log files. Jobs for which these are alike go
    together, those of others by themselves; a line says so.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take over what Hydra gives."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run all jobs; return one result each."""
        setup_globals()
        self._configure_log()
        sweep_dir = Path(str(self.config.hydra.sweep.dir))
        sweep_dir.mkdir(parents=True, exist_ok=True)
        log.info("Launching %d jobs locally", len(job_overrides))
        jobs = [self._compose(overrides, number) for number, overrides in enumerate(job_overrides, initial_job_idx)]
        returned: dict[int, JobReturn] = {}
        for numbers in self._group(jobs):
            group = [jobs[number] for number in numbers]
            for number in numbers:
                log.info("\t#%d : %s", initial_job_idx + number, " ".join(filter_overrides(job_overrides[number])))
            results = self._run_together(group) if len(group) > 1 else [self._run_alone(group[0])]
            returned.update(zip(numbers, results, strict=True))
            self._configure_log()
        if getattr(self.task_function, "idle", False):
            _clear_away(sweep_dir)
        return [returned[number] for number in range(len(jobs))]

    def _configure_log(self) -> None:
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)

    def _compose(self, overrides: Sequence[str], number: int) -> DictConfig:
        """Return the configuration of a job, Hydra's part included."""
        config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = number
            config.hydra.job.num = number
        with _job_state(config):
            output_dir = os.path.join(config.hydra.sweep.dir, config.hydra.sweep.subdir)
        with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
            config.hydra.runtime.output_dir = _verbatim(os.path.abspath(output_dir))
        return config

    def _group(self, jobs: Sequence[DictConfig]) -> list[list[int]]:
        """Return the numbers of the jobs that can run together."""
        if not hasattr(self.task_function, "call_together"):
            return [[number] for number in range(len(jobs))]
        groups: dict[str, list[int]] = {}
        surroundings = [_surroundings(job) for job in jobs]
        for number, found in enumerate(surroundings):
            groups.setdefault(repr(found), []).append(number)
        if len(groups) > 1:
            differ = [key for key, value in surroundings[0].items() if any(one[key] != value for one in surroundings)]
            # Not by logging, which applications switch off.
            said = f"{len(jobs)} jobs run in {len(groups)} groups, each by itself"
            print(f"{self.config.hydra.job.name}: {', '.join(differ)} differ between jobs: {said}", file=sys.stderr)
        return list(groups.values())

    def _run_alone(self, job: DictConfig) -> JobReturn:
        return run_job(
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            config=job,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )

    def _run_together(self, jobs: Sequence[DictConfig]) -> list[JobReturn]:
        """Do for several jobs what Hydra's ``run_job`` does for one."""
        callbacks = self.hydra_context.callbacks
        with _job_state(jobs[0]), _working_in(jobs[0]):
            results = [_begin(job) for job in jobs]
            with env_override(jobs[0].hydra.job.env_set):
                for job in jobs:
                    with _job_state(job):
                        callbacks.on_job_start(config=job, task_function=self.task_function)
                self._call(jobs, results)
            for job, result in zip(jobs, results, strict=True):
                with _job_state(job):
                    callbacks.on_job_end(config=job, job_return=result)
        return results

    def _call(self, jobs: Sequence[DictConfig], results: Sequence[JobReturn]) -> None:
        """Call the task; put what it returns, or the error that it ends with, into the results."""

        def given() -> Generator[DictConfig | None, None, None]:
            for job, result in zip(jobs, results, strict=True):
                with _job_state(job):
                    yield result.cfg

        values: Sequence[Any]
        try:
            with closing(given()) as configs:
                values = self.task_function.call_together(configs)  # type: ignore[attr-defined]
            status = JobStatus.COMPLETED
        except Exception as error:
            values, status = [error] * len(jobs), JobStatus.FAILED
        for result, value in zip(results, values, strict=True):
            result.return_value, result.status = value, status


def _verbatim(text: str) -> str:
    """Return what OmegaConf reads as this text, though there may be ``${`` in it."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def _surroundings(job: DictConfig) -> dict[str, Any]:
    """Return what a process can have once only, by the keys that decide it."""
    with _job_state(job):
        hydra = job.hydra
        return {
            "hydra.job.env_set": OmegaConf.to_container(hydra.job.env_set, resolve=True),
            "hydra.job.chdir": hydra.runtime.output_dir if _changes_directory(job) else None,
            "hydra.job_logging": hydra.job_logging and OmegaConf.to_container(hydra.job_logging, resolve=True),
            "hydra.verbose": str(hydra.verbose),
        }


def _changes_directory(job: DictConfig) -> bool:
    """Return whether a job works in its output directory; it always did before version 1.2."""
    chdir = job.hydra.job.chdir
    return bool(chdir) if chdir is not None else not version.base_at_least("1.2")


@contextmanager
def _job_state(job: DictConfig) -> Iterator[DictConfig]:
    """Have Hydra's state be that of a job; give it."""
    hydra = HydraConfig.instance()
    before = hydra.cfg
    hydra.set_config(job)
    try:
        yield hydra.cfg  # type: ignore[misc]
    finally:
        hydra.cfg = before


@contextmanager
def _working_in(job: DictConfig) -> Iterator[None]:
    """Work in a job's directory, where that is wanted, and write to its log files."""
    before = os.getcwd()
    Path(job.hydra.runtime.output_dir).mkdir(parents=True, exist_ok=True)
    if _changes_directory(job):
        os.chdir(job.hydra.runtime.output_dir)
    try:
        configure_log(job.hydra.job_logging, job.hydra.verbose)
        yield
    finally:
        os.chdir(before)


def _begin(job: DictConfig) -> JobReturn:
    """Return what is known of a job's result before it runs; leave Hydra's files where they are asked for."""
    config = job.copy()
    with read_write(config), open_dict(config):
        del config["hydra"]
    folder = Path(job.hydra.runtime.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with _job_state(job) as hydra:
        if job.hydra.output_subdir is not None:
            folder /= job.hydra.output_subdir
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in (("config", config), ("hydra", hydra), ("overrides", job.hydra.overrides.task)):
                (folder / f"{name}.yaml").write_text(OmegaConf.to_yaml(content), encoding="utf-8")
    return JobReturn(
        overrides=list(job.hydra.overrides.task),
        cfg=config,
        hydra_cfg=hydra,
        working_dir=os.getcwd(),
        task_name=JobRuntime.instance().get("name"),
    )


def _clear_away(sweep: Path) -> None:
    """Remove the folder that Hydra has made for a sweep in which there was nothing to train."""
    with suppress(OSError):  # with anything else in it, it stays
        (sweep / "multirun.yaml").unlink()
        sweep.rmdir()
        sweep.parent.rmdir()

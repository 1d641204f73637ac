"""What ``cxr-run`` does: the jobs of one command, in whichever process or on whichever machine a launcher runs them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cxr_runner.base.errors import UserError
from cxr_runner.base.output import OutputClosedError, interrupting_output
from cxr_runner.base.signals import interrupting_on_sigterm, raise_if_interrupted
from cxr_runner.commands.failures import Failures

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from cxr_runner.commands.search import SearchedRuns
    from cxr_runner.config.schema import RunConfig
    from cxr_runner.experiment.plan import OnFailure
    from cxr_runner.experiment.sweep import Outcome
    from cxr_runner.experiment.watch import Watch


class Task:
    """What Hydra has its launchers call; a class, because functions inside others do not pickle."""

    def __init__(self, failures: Failures) -> None:
        """Report what goes wrong to ``failures``."""
        self.failures = failures
        self.idle = True  # whether nothing was trained: whatever was asked for was a mistake

    @property
    def call_together(self) -> "Task":
        """What the stack launcher calls with all jobs at once: the same call, so that no frame is added to it."""
        return self

    def __call__(self, configs: "DictConfig | Iterable[DictConfig]") -> list[float] | float:
        """Train one job, or several at once.

        Args:
            configs: of a job, as Hydra's launchers give it, or of several.

        Returns:
            The validation accuracy of each, a mean over its seeds; nan where it failed: a job that fails must not
            stop the sweep that it is part of, whatever the reason.
        """
        together: Iterable[Any] = [configs] if isinstance(configs, Mapping) else configs
        raise_if_interrupted()  # while the configuration was composed
        try:
            # In another process too, whose libraries would pass over the signal.
            with interrupting_on_sigterm(), interrupting_output():
                jobs = list(self._read(together))  # before torch: a mistake is answered at once
                runs = [run for job in jobs for run in job]
                outcomes: Iterator[float] = iter(())
                if runs:
                    from cxr_runner.experiment.sweep import run_sweep

                    swept = run_sweep(runs, self.failures.add)
                    self.idle &= all(isinstance(outcome.error, UserError) for outcome in swept)
                    outcomes = iter([outcome.accuracy for outcome in swept])
                    _compare(runs, swept)
                values = [_mean([next(outcomes) for _ in job]) for job in jobs]
                return values[0] if isinstance(configs, Mapping) else values
        except OutputClosedError:  # an interruption like any other
            raise KeyboardInterrupt from None

    def search(self, metric: str | None) -> "SearchedRuns":
        """Return what trains the runs of a search; the sweeper on Optuna asks for it.

        Args:
            metric: what is looked for, such as ``val_auroc``, which None stands for.

        Raises:
            UserError: there is no such metric.
        """
        from cxr_runner.commands.search import SearchedRuns, read_objective

        return SearchedRuns(self.failures, _train, read_objective(metric))

    def _read(self, configs: "Iterable[DictConfig]") -> "Iterator[list[RunConfig]]":
        """Yield the runs of each job, for every split and seed; none where there is a mistake in its configuration."""
        from cxr_runner.config.sweeps import name_set_aside, shares_settings
        from cxr_runner.config.unused import set_unused_aside
        from cxr_runner.config.validation import from_values, split_runs

        jobs = list(self._plain(configs))
        readable = [job for job in jobs if job is not None]
        shared = shares_settings(readable)
        for line in name_set_aside(readable) if shared else ():
            print(line, flush=True)
        for job in jobs:
            try:
                yield [] if job is None else split_runs(from_values(set_unused_aside(job) if shared else job))
            except UserError as error:
                self.failures.add(error)
                yield []

    def _plain(self, configs: "Iterable[DictConfig]") -> "Iterator[dict[Any, Any] | None]":
        """Yield the nested configuration of each job, looked up while Hydra's state is that of the job."""
        from cxr_runner.config.validation import plain_values

        for config in configs:
            try:
                yield plain_values(config)
            except UserError as error:
                self.failures.add(error)
                yield None


def _train(runs: "Sequence[RunConfig]", on_failure: "OnFailure", watch: "Watch | None" = None) -> "Sequence[Outcome]":
    """Train runs; the import takes seconds and comes after every mistake that can be known without it."""
    from cxr_runner.experiment.sweep import run_sweep

    return run_sweep(runs, on_failure, watch)


def _compare(runs: "Sequence[RunConfig]", swept: "Sequence[Outcome]") -> None:
    """Print how the configurations compare, where several runs are finished and lines are wanted at all."""
    finished = list(dict.fromkeys(one.path for one in swept if one.path is not None and one.error is None))
    if len(finished) > 1 and runs[0].progress != "none":
        from cxr_runner.report.sweep_report import print_sweep

        print_sweep(finished)


def _mean(accuracies: Sequence[float]) -> float:
    """Return the mean of a job's values; nan where a run of it failed, or all of it."""
    return sum(accuracies) / len(accuracies) if accuracies else float("nan")

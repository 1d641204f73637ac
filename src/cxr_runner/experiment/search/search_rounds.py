"""Trials in batches and rounds: a few replicates of every trial at once, then the test which of them go on.

The rounds of a batch go through Hydra's launcher as one sweep, so that trials of one shape train as one stack. Nothing
here knows how a run trains.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cxr_runner.base.errors import RunFailedError, UserError
from cxr_runner.base.numbers import format_number, plural
from cxr_runner.base.progress import Reporter
from cxr_runner.experiment.search.search_journal import propose_trial
from cxr_runner.experiment.search.search_settings import SearchSettings
from cxr_runner.stats.choice_luck import worse_in_pairs

if TYPE_CHECKING:
    from optuna import Study, Trial

Jobs = Sequence[Sequence[str]]
Launch = Callable[[Jobs], Sequence[Sequence["ReplicateResult"]]]


@dataclass(frozen=True)
class ReplicateResult:
    """What became of one replicate of a trial.

    Attributes:
        value: the metric; nan where there is none.
        state: ``done``, ``failed`` or ``pruned``; ``refused`` where it could not begin, for want of its images for
            example, which says nothing of the trial.
        reason: why it failed or ended early.
        run: path of its directory below the outputs; '' where the application has none.
        epochs: epochs that were trained for it.
        collapsed: whether all images get the same output.
    """

    value: float
    state: str = "done"
    reason: str = ""
    run: str = ""
    epochs: int = 0
    collapsed: bool = False


@dataclass(frozen=True)
class RoundJob:
    """Some of the runs that a trial is the mean of, as one job of Hydra's.

    Attributes:
        labels: what each is called, e.g. ``seed=3``; the same in all trials.
        overrides: what makes a trial's configuration these.
    """

    labels: tuple[str, ...]
    overrides: tuple[str, ...] = ()


@dataclass
class TrialUnderWay:
    """A trial while it is measured.

    Attributes:
        trial: Optuna's.
        overrides: its configuration, as one would write it.
        rounds: jobs, by rounds.
        measured: what became of them, by their labels.
        ending: why it ended before its last round: ``failed`` or ``pruned``; '' while it goes on.
        reason: the same, in a phrase.
    """

    trial: "Trial"
    overrides: tuple[str, ...]
    rounds: Sequence[Sequence[RoundJob]]
    measured: dict[str, ReplicateResult] = field(default_factory=dict)
    ending: str = ""
    reason: str = ""

    @property
    def values(self) -> dict[str, float]:
        """The metric by replicate."""
        return {label: one.value for label, one in self.measured.items() if one.state == "done"}

    @property
    def value(self) -> float:
        """The mean so far."""
        return float(np.mean(list(self.values.values()))) if self.values else math.nan

    @property
    def planned(self) -> int:
        """Number of replicates of all rounds."""
        return sum(len(job.labels) for jobs in self.rounds for job in jobs)

    def take(self, job: RoundJob, results: Sequence[ReplicateResult]) -> None:
        """Note what became of a job's replicates, or of the job where it has one result alone."""
        every = [*results] * len(job.labels) if len(results) == 1 else results
        for label, result in zip(job.labels, every, strict=True):
            self._take(label, result)

    def _take(self, label: str, measured: ReplicateResult) -> None:
        """Note what became of a replicate; one that failed, or was ended, ends the trial."""
        self.measured[label] = measured
        if measured.state != "done" or not math.isfinite(measured.value):
            ending = "pruned" if measured.state == "pruned" else "failed"
            if self.ending != "failed":
                self.ending, self.reason = ending, measured.reason or f"its value is {measured.value:g}"


class Rounds:
    """Measures the trials of a search, batch by batch."""

    def __init__(
        self,
        study: "Study",
        settings: SearchSettings,
        launch: Launch,
        plan: Callable[["Trial"], TrialUnderWay],
        reporter: Reporter,
    ) -> None:
        """Keep what a search needs.

        Args:
            study: journal of the search.
            settings: what was asked for.
            launch: trains jobs, each a list of overrides, and says what became of them.
            plan: gives a trial its overrides and rounds; one whose configuration is refused has ended.
            reporter: told of every trial.
        """
        self.study, self.settings, self.launch, self.plan, self.reporter = study, settings, launch, plan, reporter

    def next_batch(self) -> list["Trial"]:
        """Return the trials of the next batch: those that were cut off, and new ones; none where all are told.

        A batch always holds the same numbers, so that a search that was killed proposes what it would have proposed.
        """
        import optuna
        from optuna.trial import TrialState

        states = [one.state for one in self.study.get_trials(deepcopy=False)]
        told = [state.is_finished() for state in states]
        first = told.index(False) if False in told else len(told)
        if first >= self.settings.n_trials:
            return []
        size = self.settings.n_jobs
        numbers = range(first, min(self.settings.n_trials, (first // size + 1) * size))
        batch = []
        for number in numbers:
            if number >= len(states):
                batch.append(propose_trial(self.study, self.settings, number))
            elif states[number] == TrialState.RUNNING:
                batch.append(optuna.Trial(self.study, self.study.get_trials(deepcopy=False)[number]._trial_id))
        return batch

    def run_batch(self, trials: Sequence["Trial"]) -> None:
        """Measure a batch of trials and write down what came out.

        Raises:
            UserError: a run could not begin, for want of its images for example.
            RunFailedError: more of them failed than ``max_failure_rate`` allows.
        """
        batch = [self.plan(trial) for trial in trials]
        for number in range(max((len(one.rounds) for one in batch), default=0)):
            going_on = [one for one in batch if not one.ending and number < len(one.rounds)]
            if jobs := [(one, job) for one in going_on for job in one.rounds[number]]:
                measured = self.launch([(*one.overrides, *job.overrides) for one, job in jobs])
                if refused := [one for results in measured for one in results if one.state == "refused"]:
                    raise UserError(refused[0].reason)  # nothing is told: the same command tries these trials again
                for (one, job), results in zip(jobs, measured, strict=True):
                    one.take(job, results)
                self._prune(batch, number)
        for one in batch:
            self._tell(one)
        failed = [one for one in batch if one.ending == "failed"]
        if len(failed) > self.settings.max_failure_rate * len(batch):
            allowed = f"hydra.sweeper.max_failure_rate={self.settings.max_failure_rate:g} allows fewer"
            share = f"{len(failed)} of {plural(len(batch), 'trial')} failed"
            raise RunFailedError(f"{share}, {allowed}: {failed[0].reason}")

    def _prune(self, batch: Sequence[TrialUnderWay], number: int) -> None:
        """End the trials that still go on and are probably worse than the best so far."""
        level, higher = self.settings.prune_p, self.settings.higher_is_better
        alive = [one for one in batch if not one.ending]
        if level is None or not alive:
            return
        references = self._references(alive)
        sign = 1 if higher else -1
        for one in alive:
            if number + 1 >= len(one.rounds):
                continue  # it is measured in full
            labels = set(one.values)
            known = {name: values for name, values in references.items() if labels <= values.keys()}
            means = {name: sign * np.mean([values[label] for label in labels]) for name, values in known.items()}
            best = max(means, key=lambda name: means[name])
            pairs = [(one.values[label], known[best][label]) for label in sorted(labels)]
            own, others = np.array(pairs, np.float64).T
            if (p := worse_in_pairs(own, others, higher)) < level:
                behind = f"{format_number(abs(others.mean() - own.mean()), '.4f')} behind trial {best}"
                done = f"after {len(pairs)} of {plural(one.planned, 'run')}"
                one.ending, one.reason = "pruned", f"pruned {done}: {behind}, p {p:.2g} by Wilcoxon's test"

    def _references(self, alive: Sequence[TrialUnderWay]) -> dict[int, dict[str, float]]:
        """Return the values, by replicate, of all trials that one can be compared with, by their numbers."""
        from optuna.trial import TrialState

        finished = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        known = {one.number: dict(one.user_attrs.get("values") or {}) for one in finished}
        return known | {one.trial.number: one.values for one in alive}

    def _tell(self, one: TrialUnderWay) -> None:
        from optuna.samplers import RandomSampler
        from optuna.trial import TrialState

        trial, measured = one.trial, one.measured
        self.study.sampler = RandomSampler()  # after its last point, that of a grid would stop a loop that is not there
        trial.set_user_attr("values", one.values)
        trial.set_user_attr("runs", {label: result.run for label, result in measured.items() if result.run})
        trial.set_user_attr("trained", [len(measured), one.planned])
        trial.set_user_attr("epochs", sum(result.epochs for result in measured.values()))
        trial.set_user_attr("collapsed", sum(result.collapsed for result in measured.values()))
        if one.reason:
            trial.set_user_attr("reason", one.reason)
        if one.ending == "failed":
            self.study.tell(trial, state=TrialState.FAIL)
        elif one.ending == "pruned":
            self._report_mean(one)
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, one.value)
        self.reporter.line(_describe(one, self.settings.metric))

    def _report_mean(self, one: TrialUnderWay) -> None:
        """Let the sampler know how a pruned trial stood: by the last value that was reported."""
        step = sum(result.epochs for result in one.measured.values())
        frozen = self.study.get_trials(deepcopy=False)[one.trial.number]
        if one.values and step not in frozen.intermediate_values:
            one.trial.report(one.value, step)


def _describe(one: TrialUnderWay, metric: str) -> str:
    params = ", ".join(f"{key}={format_param(value)}" for key, value in one.trial.params.items())
    head = f"trial {one.trial.number}: {params}"
    if one.ending == "failed":
        return f"{head}: failed: {one.reason}"
    shown = f"{head}: {metric} {format_number(one.value, '.4f')}" if one.values else head
    if one.ending:
        return f"{shown}, {one.reason}"
    collapsed = sum(result.collapsed for result in one.measured.values())
    mean = f", mean of {plural(len(one.values), 'run')}" if len(one.values) > 1 else ""
    return f"{shown}{mean}" + (f", {collapsed} collapsed" if collapsed else "")


def format_param(value: object) -> str:
    """Return a value of a parameter as it is shown: four digits are enough to tell trials apart."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)

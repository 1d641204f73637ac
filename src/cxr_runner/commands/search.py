"""``cxr-run`` as a search sees it: what a trial's replicates are, what became of each, and what the best is worth."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr_runner.artifacts.metrics import METRICS, metric
from cxr_runner.base.errors import DivergedError, UserError, user_path
from cxr_runner.commands.failures import Failures
from cxr_runner.experiment.search.search_rounds import ReplicateResult, RoundJob

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from cxr_runner.config.schema import RunConfig
    from cxr_runner.config.search_space import Parameter
    from cxr_runner.experiment.plan import PlannedRun
    from cxr_runner.experiment.sweep import Outcome
    from cxr_runner.training.loop import Trainer

PER_ROUND = 4  # replicates: the fewest whose signed-rank test can fall below 0.1
Report = Callable[[int, int, float], bool]
Sweep = Callable[..., "Sequence[Outcome]"]
_SPLIT = "val"
_REPLICATES = ("seed", "seeds", "data.split.seed", "data.split.repeats", "data.split.folds", "data.split.fold")
Place = tuple[int, object, int]  # seed of the split, fold, seed


def read_objective(text: str | None) -> str:
    """Return the key of the metric of ``hydra.sweeper.metric``, e.g. ``auroc`` of ``val_auroc``.

    Raises:
        UserError: there is no such metric, or it is of test.
    """
    split, _, key = (text or f"{_SPLIT}_auroc").partition("_")
    valid = f"valid are {', '.join(f'{_SPLIT}_{one.key}' for one in METRICS)}"
    if split == _SPLIT and key in {one.key for one in METRICS}:
        return key
    why = "a search looks at val alone, or test would be no test any more; " if split == "test" else ""
    raise UserError.for_key("hydra.sweeper.metric", text, f"{why}{valid}")


@dataclass
class SearchedRuns:
    """What trains the runs of trials, in whichever process a launcher calls it.

    Attributes:
        failures: told what goes wrong; a run that diverges is a result of a search, and no failure.
        sweep: trains runs, see :func:`cxr_runner.experiment.sweep.run_sweep`.
        key: the metric, without its split.
        name: name of the search.
        report: writes down how a trial stands after an epoch, and says whether it is to end: given its number, the
            epochs trained for it and the metric; None ends none.
        places: replicates of every trial in their order, known once :meth:`rounds` was called.
        outputs: outputs tree of its runs, known once :meth:`describe` was called.
        quiet: whether no lines are wanted, likewise.
        label: name of the runs, or the model, likewise.
        idle: whether nothing was trained.
    """

    failures: Failures
    sweep: Sweep
    key: str
    name: str = ""
    report: Report | None = None
    places: tuple[Place, ...] = ()
    outputs: Path = Path("outputs")
    quiet: bool = False
    label: str = ""
    idle: bool = True

    @property
    def higher_is_better(self) -> bool:
        """The direction of the metric."""
        return metric(self.key).better == "higher"

    @property
    def metric(self) -> str:
        """The metric with its split."""
        return f"{_SPLIT}_{self.key}"

    def check_space(self, space: "Sequence[Parameter]") -> None:
        """Refuse to search what tells replicates apart, which are averaged.

        Raises:
            UserError: such a key is searched.
        """
        for one in space:
            if one.key in _REPLICATES:
                how = "seeds=8 or data.split.folds=5 says how many"
                raise UserError.for_key(one.key, one.text, f"tells the runs of a trial apart; {how}")

    def describe(self, config: "DictConfig") -> dict[str, Any]:
        """Return a configuration, checked, as it tells searches apart.

        Raises:
            UserError: there is a mistake in it.
        """
        from cxr_runner.config.identity import to_dict
        from cxr_runner.config.usual_settings import asked_for
        from cxr_runner.config.validation import from_hydra

        run = from_hydra(config)
        self.outputs, self.quiet = user_path("outputs", run.outputs), run.progress == "none"
        self.label = run.name or run.model.name
        return asked_for(to_dict(run))

    def rounds(self, config: "DictConfig") -> list[list[RoundJob]]:
        """Return the replicates of a trial by rounds: one seed of every fold first, then the next seed.

        What trains in Gram space trains four replicates a round; the others, which can be ended by epoch, begin with
        one.

        Raises:
            UserError: there is a mistake in the configuration.
        """
        from cxr_runner.config.validation import from_hydra, gram_obstacle, split_runs

        run = from_hydra(config)
        runs = sorted(split_runs(run), key=lambda one: one.seed)  # stable: splits and folds in their order
        self.places = tuple(map(_place, runs))
        alone = run.engine == "pixel" or gram_obstacle(run) is not None
        starts = [0, *((1,) if alone else ()), *range(PER_ROUND, len(runs), PER_ROUND)]
        bounds = [*dict.fromkeys(start for start in starts if start < len(runs)), len(runs)]
        return [_round(runs[start:end], run) for start, end in pairwise(bounds)]

    def conclude(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return the record of a search with what its best trial is worth."""
        from cxr_runner.commands.search_conclusion import conclude

        return conclude(record, self.outputs, self.key)

    def __call__(self, config: "DictConfig") -> list[ReplicateResult]:
        """Train one job of a round."""
        (results,) = self.call_together([config])
        return results

    def call_together(self, configs: "Iterable[DictConfig]") -> list[list[ReplicateResult]]:
        """Train the jobs of a round at once; what becomes of one run stops no other.

        Returns:
            What became of each run of each job; of one whose configuration is refused, that alone.
        """
        from cxr_runner.base.output import OutputClosedError, interrupting_output
        from cxr_runner.base.signals import interrupting_on_sigterm, raise_if_interrupted

        raise_if_interrupted()
        try:
            with interrupting_on_sigterm(), interrupting_output():
                read = [self._read(config) for config in configs]
                known = [one for one in read if isinstance(one, tuple)]
                measured = self._train([(number, run) for number, runs in known for run in runs])
        except OutputClosedError:
            raise KeyboardInterrupt from None
        return [[measured[run] for run in one[1]] if isinstance(one, tuple) else [one] for one in read]

    def _read(self, config: "DictConfig") -> "tuple[int, list[RunConfig]] | ReplicateResult":
        """Return the number of the trial and its runs; what is wrong with its configuration instead."""
        from cxr_runner.config.search_space import take_out
        from cxr_runner.config.validation import from_hydra, split_runs

        number = int(take_out(config, "trial"))
        try:
            runs = split_runs(from_hydra(config))
        except UserError as error:
            return ReplicateResult(math.nan, "failed", str(error))
        return number, [_quiet(run) for run in runs]

    def _train(self, read: "Sequence[tuple[int, RunConfig]]") -> "dict[RunConfig, ReplicateResult]":
        if not read:
            return {}
        self.idle = False
        runs = [run for _, run in read]
        numbers = {run: number for number, run in reversed(read)}
        outcomes = self.sweep(runs, self._note, EpochWatch(self, numbers))
        return {run: self._measured(outcome) for run, outcome in zip(runs, outcomes, strict=True)}

    def _note(self, error: Exception) -> None:
        if not isinstance(error, DivergedError):
            self.failures.add(error)

    def _measured(self, outcome: "Outcome") -> ReplicateResult:
        """Return what became of a run, as its directory says."""
        from cxr_runner.artifacts.rundir import read_run

        if outcome.path is None or outcome.error is not None:
            if isinstance(outcome.error, UserError):
                return ReplicateResult(math.nan, "refused", str(outcome.error))
            reason = str(outcome.error)
            where = "" if outcome.path is None else _below(outcome.path)
            return ReplicateResult(math.nan, "failed", reason.removesuffix(f" ({outcome.path})"), where)
        run = read_run(outcome.path)
        value = run.metrics[_SPLIT].get(self.key, math.nan)
        return ReplicateResult(
            value=float(value),
            state="pruned" if run.state == "pruned" else "done",
            reason=run.problem,
            run=_below(outcome.path),
            epochs=int(run.metrics.get("epochs_trained", 0)),
            collapsed=bool(run.metrics.get("collapsed")),
        )


class EpochWatch:
    """Asks the search after every epoch of a run that trains alone whether its trial goes on."""

    def __init__(self, searched: SearchedRuns, numbers: "dict[RunConfig, int]") -> None:
        """Keep the numbers of the trials, by their runs."""
        self.searched, self.numbers = searched, numbers

    def judge(self, run: "PlannedRun", trainer: "Trainer") -> tuple[str, str] | None:
        """Return who ends a run, and why; None lets it go on."""
        from cxr_runner.training.formulas import compute_metric

        searched, config = self.searched, run.config
        if searched.report is None or run.choice.engine != "pixel":
            return None
        epoch, size = len(trainer.history), trainer.settings.batch_size
        value = compute_metric(searched.key, trainer.val_logits, trainer.val.labels, size)
        before = searched.places.index(_place(config)) * config.epochs
        number = self.numbers[config]
        if not searched.report(number, before + epoch, value):
            return None
        why = f"{searched.metric} {value:.4f}, behind the median of the trials before it"
        return searched.name, f"pruned after epoch {epoch} of {config.epochs} by the search {searched.name}: {why}"

    def has_ended(self, run: "PlannedRun") -> bool:
        """Return whether this search has ended the run before."""
        from cxr_runner.base.checked_json import read_checked_json

        status, _ = read_checked_json(run.files.status)
        ended = status.get("state") == "pruned" and status.get("pruned_by") == self.searched.name
        return ended and not run.config.force


def _place(run: "RunConfig") -> Place:
    return run.data.split.seed, run.data.split.fold, run.seed


def _round(runs: "Sequence[RunConfig]", whole: "RunConfig") -> list[RoundJob]:
    """Return runs of a trial as few jobs: several seeds of one split, or several folds with one seed."""
    folds = whole.data.split.folds is not None
    jobs: dict[tuple[int, int | None], list[RunConfig]] = {}
    for one in runs:
        jobs.setdefault((one.data.split.seed, one.seed if folds else None), []).append(one)
    return [_job(some, whole) for some in jobs.values()]


def _job(runs: "Sequence[RunConfig]", whole: "RunConfig") -> RoundJob:
    first, split = runs[0], whole.data.split
    overrides = [f"data.split.seed={first.data.split.seed}", "data.split.repeats=1"] if split.repeats > 1 else []
    if split.folds is not None:
        overrides += [f"data.split.fold=[{','.join(str(one.data.split.fold) for one in runs)}]", "seeds=1"]
    else:
        overrides.append(f"seeds={len(runs)}")
    return RoundJob(tuple(_label(one, whole) for one in runs), (*overrides, f"seed={first.seed}"))


def _label(one: "RunConfig", whole: "RunConfig") -> str:
    """Return what a run of a trial is called among its others."""
    split = whole.data.split
    parts = [f"split={one.data.split.seed}"] if split.repeats > 1 else []
    parts += [f"fold={one.data.split.fold}"] if split.folds is not None else []
    return " ".join([*parts, f"seed={one.seed}"])


def _quiet(run: "RunConfig") -> "RunConfig":
    """Return a run that shows and draws nothing unless that was asked for: there are many of them."""
    progress = "none" if run.progress == "auto" else run.progress
    return replace(run, progress=progress, plots="never" if run.plots == "auto" else run.plots)


def _below(path: Path) -> str:
    """Return the path of a run below its outputs: runs/NAME-ID/seed=K."""
    return "/".join(path.parts[-3:])

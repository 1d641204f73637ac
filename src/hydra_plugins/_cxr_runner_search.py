"""How the sweeper on Optuna searches: space read and checked, journal opened, batches measured, the end written down.

The module's name begins with ``_`` so that Hydra, which imports every plugin at every start, passes it by.
"""

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn
from omegaconf import OmegaConf

from cxr_runner.base.errors import RunFailedError, UserError, user_path
from cxr_runner.base.locks import locked_folder
from cxr_runner.base.progress import LineReporter, Reporter
from cxr_runner.config.search_space import Parameter, probes, read_distributions, read_space, write_value
from cxr_runner.experiment.search.search_end import leave_record, search_record
from cxr_runner.experiment.search.search_journal import build_sampler, grid_of, open_study
from cxr_runner.experiment.search.search_rounds import ReplicateResult, RoundJob, Rounds, TrialUnderWay
from cxr_runner.experiment.search.search_settings import SearchSettings, identify

if TYPE_CHECKING:
    from optuna import Study, Trial

    from hydra_plugins.cxr_runner_sweeper import OptunaSweeper

_KEY = "hydra.sweeper"


def perform_search(sweeper: "OptunaSweeper", arguments: Sequence[str]) -> float:
    """Search as a command line asks for; return the best value.

    Raises:
        UserError: the space, a key below ``hydra.sweeper`` or the journal is not what it has to be; nothing was
            trained then.
        RunFailedError: no trial was measured, or more failed than may.
    """
    given = sweeper.plain_settings
    space, fixed = _read_space(given, arguments, sweeper)
    described = _check_space(space, fixed, sweeper, extended=bool(given["custom_search_space"]))
    settings, identity = _read_settings(given, space, described, sweeper)
    extend = _load_extension(given["custom_search_space"])
    reporter = Reporter() if sweeper.searched is not None and sweeper.searched.quiet else LineReporter()
    try:
        with locked_folder(settings.folder, reporter):
            study = open_study(settings, identity)
            search = _Search(sweeper, settings, study, fixed, extend)
            rounds = Rounds(study, settings, search.launch, search.plan, reporter)
            while batch := rounds.next_batch():
                rounds.run_batch(batch)
                leave_record(settings, search_record(study, settings))
            return _end(sweeper, study, settings, reporter)
    except OSError as error:
        if error.filename is None:
            raise
        raise UserError.for_key(f"{_KEY}.folder", settings.folder, f"cannot be written to ({error.strerror})") from None


def _end(sweeper: "OptunaSweeper", study: "Study", settings: SearchSettings, reporter: Reporter) -> float:
    record = search_record(study, settings)
    if record["best"] is None:
        reasons = [str(one["reason"]) for one in record["trials"] if one["reason"]]
        leave_record(settings, record)
        raise RunFailedError(f"no trial of the search was measured: {reasons[0] if reasons else 'none was begun'}")
    if sweeper.searched is not None:
        record = sweeper.searched.conclude(record)
    leave_record(settings, record)
    for line in record["verdict"]:
        reporter.line(line)
    reporter.line(f"search: {settings.folder}")
    return float(record["best_value"])


def _read_space(
    given: Mapping[str, Any], arguments: Sequence[str], sweeper: "OptunaSweeper"
) -> tuple[tuple[Parameter, ...], tuple[str, ...]]:
    """Return what is searched, by files and by the command line, which comes before them; and what is fixed."""
    params = given["params"] or {}
    if given["search_space"] and params:
        raise UserError(f"{_KEY}.search_space and {_KEY}.params both say what is searched; give one")
    listed = [f"{key}={value}" for key, value in params.items()]
    searched, fixed = read_space([*listed, *arguments], sweeper.loader)
    keys = {one.key for one in searched} | {one.partition("=")[0] for one in fixed}
    more = [one for one in read_distributions(given["search_space"] or {}) if one.key not in keys]
    space = (*more, *searched)
    if not space and not given["custom_search_space"]:
        example = "'optimizer.lr=tag(log,interval(1e-5,1e-1))'"
        raise UserError(f"hydra/sweeper=optuna: nothing to search; give for example {example}")
    if sweeper.searched is not None:
        sweeper.searched.check_space(space)
    return space, fixed


def _check_space(
    space: Sequence[Parameter], fixed: Sequence[str], sweeper: "OptunaSweeper", *, extended: bool
) -> dict[str, Any]:
    """Compose and check what the space can come to, before any of it is trained; return the first configuration."""
    first: dict[str, Any] | None = None
    by_key = {one.key: one for one in space}
    for probe in probes(space, sweeper.groups([one.key for one in space])):
        config = sweeper.compose([*fixed, *(by_key[key].override(value) for key, value in probe.items())])
        try:
            if sweeper.searched is None:
                described = OmegaConf.to_container(config, resolve=not extended)
            else:
                described = sweeper.searched.describe(config)
        except UserError as error:
            raise _contradiction(error, by_key, probe) from None
        assert isinstance(described, dict)
        first = first or {str(key): value for key, value in described.items()}
    return first or {}


def _contradiction(error: UserError, space: Mapping[str, Parameter], probe: Mapping[str, Any]) -> UserError:
    """Say of which part of the space a configuration is refused, and why."""
    key = str(error).partition("=")[0]
    if key in space:
        said = str(error).partition(": ")[2]
        one = space[key]
        whole = not one.choices and not one.whole and "whole number" in said
        way_out = f"; int({one.text}) searches whole numbers" if whole else ""
        return UserError.for_key(key, one.text, f"{said}, and {write_value(probe[key])} is in it{way_out}")
    tried = ", ".join(f"{name}={write_value(value)}" for name, value in probe.items())
    return UserError(f"{error} (at {tried}, which the search may try)")


def _read_settings(
    given: Mapping[str, Any], space: Sequence[Parameter], described: Mapping[str, Any], sweeper: "OptunaSweeper"
) -> tuple[SearchSettings, str]:
    _check_numbers(given)
    searched = sweeper.searched
    sampler = _read_sampler(given["sampler"])
    metric = searched.metric if searched else "value"
    higher = _read_direction(given["direction"], searched)
    identity = identify(f"{metric} {higher}", space, sampler, {**described, "more": given["custom_search_space"]})
    name = given["study_name"] or f"{searched.label if searched else sweeper.config.hydra.job.name}-{identity}"
    if not str(name) or str(name) in (".", "..") or "/" in str(name):
        raise UserError.for_key(f"{_KEY}.study_name", name, "must be the name of a folder")
    n_trials = given["n_trials"]
    if sampler["name"] == "grid":
        n_trials = min(n_trials, math.prod(map(len, grid_of(space).values())))
    settings = SearchSettings(
        folder=user_path(f"{_KEY}.folder", str(given["folder"])) / str(name),
        name=str(name),
        metric=metric,
        higher_is_better=higher,
        n_trials=n_trials,
        n_jobs=given["n_jobs"],
        prune_p=given["prune_p"],
        max_failure_rate=given["max_failure_rate"],
        sampler=sampler,
        space=tuple(space),
    )
    build_sampler(settings, 0)
    return settings, identity


def _check_numbers(given: Mapping[str, Any]) -> None:
    if given["storage"] is not None:
        valid = "there is no database: the journal is a file below OUTPUTS/searches"
        raise UserError.for_key(f"{_KEY}.storage", given["storage"], valid)
    for key in ("n_trials", "n_jobs"):
        if not _is(given[key], int) or given[key] < 1:
            raise UserError.for_key(f"{_KEY}.{key}", given[key], "must be a whole number, at least 1")
    p, rate = given["prune_p"], given["max_failure_rate"]
    if p is not None and not (_is(p, float) and 0 < p < 1):
        raise UserError.for_key(f"{_KEY}.prune_p", p, "must be between 0 and 1, or null to end no trial early")
    if not (_is(rate, int, float) and 0 <= rate <= 1):
        raise UserError.for_key(f"{_KEY}.max_failure_rate", rate, "must be from 0 to 1")


def _is(value: object, *kinds: type) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _read_sampler(given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping) or "name" not in given:
        raise UserError.for_key(f"{_KEY}.sampler", given, "is a group: hydra/sweeper/sampler=tpe, random, grid ...")
    return {str(key): value for key, value in given.items()}


def _read_direction(given: str | None, searched: Any) -> bool:
    """Return whether higher is better: as the metric says, in other applications as is said, by default not."""
    if given not in (None, "minimize", "maximize"):
        raise UserError.for_key(f"{_KEY}.direction", given, "valid are minimize and maximize")
    if searched is None:
        return given == "maximize"
    right = "maximize" if searched.higher_is_better else "minimize"
    if given not in (None, right):
        raise UserError.for_key(f"{_KEY}.direction", given, f"{searched.metric} is to be {right}d; leave it out")
    return bool(searched.higher_is_better)


def _load_extension(name: str | None) -> Callable[..., None] | None:
    """Import ``custom_search_space``: a function that is given the configuration and the trial."""
    if name is None:
        return None
    module, _, function = name.replace(":", ".").rpartition(".")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        reason = f"cannot be imported ({error}); give package.module.function"
        raise UserError.for_key(f"{_KEY}.custom_search_space", name, reason) from None
    if not callable(found):
        raise UserError.for_key(f"{_KEY}.custom_search_space", name, "is no function")
    return found  # type: ignore[no-any-return]


class _Search:
    """Jobs of a search, from Optuna's trials to Hydra's launcher and back."""

    def __init__(
        self,
        sweeper: "OptunaSweeper",
        settings: SearchSettings,
        study: "Study",
        fixed: Sequence[str],
        extend: Callable[..., None] | None,
    ) -> None:
        self.sweeper, self.settings, self.study, self.fixed, self.extend = sweeper, settings, study, fixed, extend
        self.launched = 0
        if sweeper.searched is not None:
            sweeper.searched.name = settings.name
            sweeper.searched.report = None if settings.prune_p is None else EpochReport(study)

    def plan(self, trial: "Trial") -> TrialUnderWay:
        """Return a trial with its overrides and the rounds of its replicates."""
        if self.extend is not None:
            self.extend(self.sweeper.config, trial)
        overrides = (*self.fixed, *(f"{key}={write_value(value)}" for key, value in trial.params.items()))
        if self.sweeper.searched is None:
            return TrialUnderWay(trial, overrides, [[RoundJob(("value",))]])
        try:
            rounds = self.sweeper.searched.rounds(self.sweeper.compose(overrides))
        except UserError as error:
            return TrialUnderWay(trial, overrides, [], ending="failed", reason=str(error))
        return TrialUnderWay(trial, (*overrides, f"+trial={trial.number}"), rounds)

    def launch(self, jobs: Sequence[Sequence[str]]) -> list[Sequence[ReplicateResult]]:
        """Have Hydra's launcher run jobs; say what became of each replicate of each."""
        returned = self.sweeper.launcher.launch([list(job) for job in jobs], initial_job_idx=self.launched)
        self.launched += len(jobs)
        return [_measured(one) for one in returned]


class EpochReport:
    """Writes into the journal how a trial stands after an epoch, and says whether Optuna's pruner ends it.

    Launchers may take it to another process: the journal is a file.
    """

    def __init__(self, study: "Study") -> None:
        """Keep the study."""
        self.study = study

    def __call__(self, number: int, step: int, value: float) -> bool:
        """Return whether the trial is to end."""
        import optuna

        frozen = self.study.get_trials(deepcopy=False)[number]
        trial = optuna.Trial(self.study, frozen._trial_id)
        if step not in frozen.intermediate_values:
            trial.report(value, step)
        return trial.should_prune()


def _measured(returned: JobReturn) -> Sequence[ReplicateResult]:
    try:
        value = returned.return_value
    except Exception as error:  # whatever the application raised
        return [ReplicateResult(math.nan, "failed", f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")]
    if isinstance(value, list):
        return value
    with suppress(TypeError, ValueError):
        return [ReplicateResult(float(value))]
    return [ReplicateResult(math.nan, "failed", f"a job must return a number, and returned {type(value).__name__}")]

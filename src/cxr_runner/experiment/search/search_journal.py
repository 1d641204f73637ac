"""The journal of a search: Optuna's append-only file, opened so that the same command goes on where it stopped."""

import inspect
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cxr_runner.base.errors import UserError
from cxr_runner.config.search_space import Parameter, Value
from cxr_runner.experiment.search.search_settings import SearchSettings

if TYPE_CHECKING:  # imported when there is something to search
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

INSTALL_SEARCH = 'pip install "cxr-runner[search]"'
"""The command that installs Optuna."""
_SAMPLERS = {
    "tpe": "TPESampler",
    "random": "RandomSampler",
    "grid": "GridSampler",
    "qmc": "QMCSampler",
    "cmaes": "CmaEsSampler",
    "nsgaii": "NSGAIISampler",
}
_MOST_GRID = 10_000
_STARTUP = 5  # finished trials before a median says anything, Optuna's default


def require_optuna() -> None:
    """Refuse in one line where Optuna is not installed.

    Raises:
        UserError: it is not.
    """
    try:
        import optuna
    except ImportError:
        raise UserError(f"hydra/sweeper=optuna: Optuna is not installed, {INSTALL_SEARCH} does it") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def open_study(settings: SearchSettings, identity: str) -> "Study":
    """Open the journal of a search, or begin it.

    Args:
        settings: what was asked for; the lock of the folder is held.
        identity: identity of the search.

    Raises:
        UserError: the journal is that of another search, or damaged, or the sampler does not exist.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    build_sampler(settings, 0)  # a mistake in it is named before there is a journal
    _mend(settings)
    try:
        storage = JournalStorage(JournalFileBackend(str(settings.journal)))
        study = optuna.create_study(
            storage=storage,
            study_name=settings.name,
            direction="maximize" if settings.higher_is_better else "minimize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP),
            load_if_exists=True,
        )
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise _refused(settings, f"is damaged ({type(error).__name__})") from None
    known = study.user_attrs.get("identity")
    if known is None and not study.get_trials(deepcopy=False):
        about = {"metric": settings.metric, "space": settings.space_text, "sampler": dict(settings.sampler)}
        study.set_user_attr("about", about)
        study.set_user_attr("identity", identity)
    elif known != identity:
        raise _refused(settings, f"is the journal of another search ({_difference(settings, study.user_attrs)})")
    return study


def _refused(settings: SearchSettings, what: str) -> UserError:
    way_out = "choose another hydra.sweeper.study_name, or move that folder away"
    return UserError(f"{settings.journal}: {what}; {way_out}")


def _difference(settings: SearchSettings, attrs: dict[str, Any]) -> str:
    """Say in a phrase in what another search differs."""
    about = attrs.get("about") or {}
    if about.get("metric") != settings.metric:
        return f"for {about.get('metric')}, not {settings.metric}"
    if (space := about.get("space") or {}) != settings.space_text:
        return "over " + ", ".join(f"{key}={text}" for key, text in space.items())
    if about.get("sampler") != dict(settings.sampler):
        return "with another sampler"
    return "of another configuration"


def _mend(settings: SearchSettings) -> None:
    """Take away what a process left that was killed while it wrote: half a line, and Optuna's lock."""
    journal = settings.journal
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    if journal.is_file():
        content = journal.read_bytes()
        if whole := len(content) - len(content.rpartition(b"\n")[2]):
            os.truncate(journal, whole)
        elif content:
            os.truncate(journal, 0)


def propose_trial(study: "Study", settings: SearchSettings, number: int) -> "Trial":
    """Have a trial proposed; the same number of the same search is proposed the same, after an interruption too."""
    study.sampler = build_sampler(settings, number)
    trial = study.ask({one.key: _distribution(one) for one in settings.space})
    assert trial.number == number
    return trial


def build_sampler(settings: SearchSettings, number: int) -> "BaseSampler":
    """Build the sampler that proposes a trial: its random numbers are those of the number, not of the calls before.

    Raises:
        UserError: there is no such sampler, or it takes no such argument.
    """
    import optuna.samplers

    arguments = dict(settings.sampler)
    name, seed = arguments.pop("name"), arguments.pop("seed", None)
    if name not in _SAMPLERS:
        raise UserError.for_key("hydra/sweeper/sampler", name, f"valid are {', '.join(_SAMPLERS)}")
    kind = getattr(optuna.samplers, _SAMPLERS[name])
    if unknown := set(arguments) - set(inspect.signature(kind).parameters):
        key = f"hydra.sweeper.sampler.{min(unknown)}"
        raise UserError.for_key(key, arguments[min(unknown)], f"{_SAMPLERS[name]} of Optuna takes no such argument")
    if name == "grid":
        arguments["search_space"] = grid_of(settings.space)
    # Quasi-random points and grids are laid out once for the whole search.
    own = seed if name in ("grid", "qmc") or seed is None else (int(seed) * 100_003 + number) % 2**32
    try:
        return kind(seed=own, **arguments)  # type: ignore[no-any-return]
    except (TypeError, ValueError) as error:
        raise UserError.for_key("hydra/sweeper/sampler", name, str(error).partition("\n")[0]) from None
    except ImportError as error:
        raise UserError.for_key("hydra/sweeper/sampler", name, f"needs a package: {error}") from None


def grid_of(space: Sequence[Parameter]) -> dict[str, list[Value]]:
    """Return all values of every parameter.

    Raises:
        UserError: one has no end of values.
    """
    grid: dict[str, list[Value]] = {}
    for one in space:
        step = one.step or (1 if one.whole and not one.log else None)
        if one.choices:
            grid[one.key] = list(one.choices)
        elif step is not None and (one.high - one.low) / step <= _MOST_GRID:
            number = int((one.high - one.low) / step + 1e-9) + 1
            values = [one.low + step * index for index in range(number)]
            grid[one.key] = [int(value) if one.whole else value for value in values]
        else:
            raise UserError.for_key(one.key, one.text, "has no end of values; sampler=grid takes choice and range")
    return grid


def _distribution(one: Parameter) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if one.choices:
        return CategoricalDistribution(one.choices)
    if one.whole:
        return IntDistribution(int(one.low), int(one.high), log=one.log, step=int(one.step or 1))
    return FloatDistribution(float(one.low), float(one.high), log=one.log, step=one.step)

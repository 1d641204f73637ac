"""A Hydra sweeper on Optuna 5, for any Hydra application: ``hydra/sweeper=optuna``, with the keys of Hydra's own.

It stands here because Hydra finds its plugins in the namespace ``hydra_plugins`` only. Optuna is imported when there is
something to search.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


@dataclass
class OptunaSweeperConfig:
    """Keys below ``hydra.sweeper``; docs/search.md says what each is for."""

    _target_: str = "hydra_plugins.cxr_runner_sweeper.OptunaSweeper"
    defaults: list[Any] = field(default_factory=lambda: ["_self_", {"sampler": "tpe"}])
    sampler: Any = None
    metric: str | None = None
    direction: str | None = None
    study_name: str | None = None
    folder: str = "${oc.select:outputs,outputs}/searches"
    storage: str | None = None
    n_trials: Any = 20
    n_jobs: Any = 8
    prune_p: Any = 0.1
    max_failure_rate: Any = 1.0
    params: dict[str, str] | None = None
    search_space: dict[str, Any] | None = None
    custom_search_space: str | None = None


def _register() -> None:
    store = ConfigStore.instance()
    store.store(group="hydra/sweeper", name="optuna", node=OptunaSweeperConfig, provider="cxr_runner")
    samplers: dict[str, dict[str, Any]] = {
        "tpe": {"n_startup_trials": 10, "multivariate": False},
        "random": {},
        "grid": {},
        "qmc": {},
        "cmaes": {},
        "nsgaii": {"population_size": 50},
    }
    for name, arguments in samplers.items():
        node = {"name": name, "seed": 0, **arguments}
        store.store(group="hydra/sweeper/sampler", name=name, node=node, provider="cxr_runner")


_register()


class OptunaSweeper(Sweeper):
    """Has Optuna propose the jobs of a sweep, and keeps what came out in a journal that the same command goes on from.

    A job returns a number. A task function may have a method ``search``, as that of ``cxr-run`` has: then a trial is
    the mean of several runs, which are trained in rounds, and trials that are probably worse than the best end early.
    """

    config: DictConfig
    launcher: Launcher

    def __init__(self, **settings: Any) -> None:
        """Keep the keys below ``hydra.sweeper``."""
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take over what Hydra gives."""
        from cxr_runner.experiment.search.search_journal import require_optuna

        require_optuna()
        self.hydra_context, self.config, self.loader = hydra_context, config, hydra_context.config_loader
        begin = getattr(task_function, "search", None)
        self.searched = begin(self.settings["metric"]) if begin else None
        task = self.searched or task_function
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Search; return the best value."""
        from hydra_plugins._cxr_runner_search import perform_search

        return perform_search(self, arguments)

    @property
    def plain_settings(self) -> dict[str, Any]:
        """The keys below ``hydra.sweeper``, resolved."""
        return {
            key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for key, value in self.settings.items()
        }

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Return the configuration of a job, without Hydra's part."""
        from omegaconf import open_dict, read_write

        config = self.loader.load_sweep_config(self.config, list(overrides))
        with read_write(config), open_dict(config):
            del config["hydra"]
        return config

    def groups(self, keys: Sequence[str]) -> list[str]:
        """Return those keys that are groups of the configuration."""
        return [key for key in keys if self.loader.get_group_options(key.partition("@")[0])]

"""The Hydra launcher of sweeps on one machine: hands all jobs over at once, so that they can share their work.

It stands here because Hydra finds its plugins in the namespace ``hydra_plugins`` only.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus, filter_overrides, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict, read_write

_SEED = re.compile(r"seed=\d+")


class StackLauncher(Launcher):
    """Composes every job of a sweep and calls the task once, with all of their configurations.

    The task trains together what can be trained together; see :mod:`cxr_runner.experiment.sweep`. Other launchers
    (basic, joblib, submitit, ray) call it with one configuration at a time; there, ``seeds=10`` makes one job of ten
    runs.
    Callbacks, ``hydra.job.env_set`` and ``hydra.job.chdir`` belong to single jobs: ``hydra/launcher=basic`` heeds them.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take over what Hydra gives."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train all jobs; return one result each."""
        setup_globals()
        configs = self._compose(job_overrides)
        returned = self.task_function(*configs)
        if getattr(self.task_function, "idle", False):
            _clear_away(Path(self.config.hydra.sweep.dir))
        values = returned if len(configs) > 1 else [returned]
        return [
            JobReturn(filter_overrides(overrides), cfg=config, status=JobStatus.COMPLETED, _return_value=value)
            for overrides, config, value in zip(job_overrides, configs, values, strict=True)
        ]

    def _compose(self, job_overrides: Sequence[Sequence[str]]) -> list[DictConfig]:
        """Return the jobs' own configurations, without Hydra's part.

        Composing takes Hydra a tenth of a second: jobs that differ in nothing but their seed are composed once.
        """
        composed: dict[tuple[str, ...], DictConfig] = {}
        configs = []
        for overrides in job_overrides:
            others = tuple(override for override in overrides if not _SEED.fullmatch(override))
            if others not in composed:
                composed[others] = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
            config = composed[others].copy()
            with read_write(config), open_dict(config):
                del config["hydra"]
                for override in overrides:
                    if override not in others:
                        config.seed = int(override.removeprefix("seed="))
            configs.append(config)
        return configs


def _clear_away(sweep: Path) -> None:
    """Remove the folder that Hydra has made for a sweep in which there was nothing to train."""
    with suppress(OSError):  # with anything else in it, it stays
        (sweep / "multirun.yaml").unlink()
        sweep.rmdir()
        sweep.parent.rmdir()

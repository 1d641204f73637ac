"""Runs, from configurations to run directories: what each needs is found, and those that can be train together."""

import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from cxr_runner.artifacts.rundir import run_dir
from cxr_runner.base.errors import BadImageError, RunFailedError, UserError, user_path
from cxr_runner.base.files import read_json
from cxr_runner.base.progress import Reporter, make_reporter
from cxr_runner.config.identity import run_id
from cxr_runner.config.schema import AnyDataConfig, AnyModelConfig, LinearConfig, LinearReLUConfig, RunConfig, SGDConfig
from cxr_runner.data.dataset import Dataset, open_dataset, open_intact
from cxr_runner.data.sampling import leave_samples
from cxr_runner.experiment.member import Job, enough_memory
from cxr_runner.experiment.painter import Painter
from cxr_runner.experiment.stack import train_stack
from cxr_runner.experiment.summary import describe_data, print_results, print_results_of_many
from cxr_runner.models.backbones import initial_weights_digest
from cxr_runner.models.build import build_model
from cxr_runner.models.linear import first_weight
from cxr_runner.training.devices import choose_device, keep_freed_memory
from cxr_runner.training.engines import choose_engine
from cxr_runner.training.gram.space import GramSpace

Outcome = float | Exception
OnFailure = Callable[[Exception], None]
_STACK_BYTES = 2 * 10**9
_MOST_MEMBERS = 128  # each holds a lock file open; the usual limits are 1,024 open files, and 256 on macOS
_BYTES_A_WEIGHT = 20  # of the first layer: float32 at the start, in the module and at the end, float64 in between


def run_experiments(configs: Sequence[RunConfig], on_failure: OnFailure = lambda error: None) -> list[Outcome]:
    """Train and evaluate runs; those that are finished are not trained again, and one that fails stops no other.

    Args:
        configs: of the runs, at least one, for one seed each.
        on_failure: called with every error as soon as it is known.

    Returns:
        For every run its validation accuracy, or the error that it ended with: :class:`UserError`,
        :class:`RunFailedError`, or another one that is a mistake of this program.
    """
    return _sweep(configs, on_failure)[0]


def train(configs: Sequence[RunConfig]) -> list[Path]:
    """Train and evaluate runs; what is finished is not trained again.

    Args:
        configs: of the runs, at least one, for one seed each.

    Returns:
        The run directories.

    Raises:
        UserError: a configuration asks for something that is not there.
        RunFailedError: a run failed, once all others are finished; its directory says why.
    """
    outcomes, paths = _sweep(configs, lambda error: None)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return paths


def _sweep(configs: Sequence[RunConfig], on_failure: OnFailure) -> tuple[list[Outcome], list[Path]]:
    """Train runs; return what became of each, and the directories of those that could be trained."""
    keep_freed_memory()
    with Painter(in_background=len(configs) > 1) as painter:
        sweep = _Sweep(make_reporter(configs[0].progress), on_failure, painter)
        return sweep.run(configs), sweep.paths


class _Sweep:
    """What runs of one call share: opened data sets, and the Gram space of the current one."""

    def __init__(self, reporter: Reporter, on_failure: OnFailure, painter: Painter) -> None:
        self.reporter, self.on_failure, self.painter = reporter, on_failure, painter
        self.datasets: dict[AnyDataConfig, Dataset | Exception] = {}
        self.intact: dict[AnyDataConfig, Dataset] = {}  # the same ones, every image of which was looked at
        self.checked_models: set[tuple[AnyModelConfig, int]] = set()
        self.space: GramSpace | None = None
        self.space_key: tuple[Path, str, torch.device] | None = None
        self.failures: dict[Path, Exception] = {}
        self.paths: list[Path] = []

    def run(self, configs: Sequence[RunConfig]) -> list[Outcome]:
        plans = [self._plan(config) for config in configs]
        self.paths = [plan.files.path for plan in plans if isinstance(plan, Job)]
        jobs = {plan.files.path: plan for plan in plans if isinstance(plan, Job)}
        waiting = [job for job in jobs.values() if job.config.force or not job.files.complete()]
        done = [job for job in jobs.values() if job not in waiting]
        for job in done:
            with suppress(OSError):  # left by a process that was killed as the run was done
                job.files.checkpoint.unlink(missing_ok=True)
        if len(jobs) > 1 and done:
            self.reporter.line(f"{len(done)} of {len(jobs)} runs are done already (force=true trains them anew)")
            for job in done:
                self._picture(job)
        stacks = _form_stacks(waiting)
        for number, stack in enumerate(stacks, start=1):
            if len(jobs) > 1:
                self.reporter.line(f"\n{_name_stack(stack)} ({number} of {len(stacks)})")
            self._train(stack, waiting)
            self._show([job for job in stack if job.files.path not in self.failures])
        if len(jobs) == 1 and not waiting:
            (job,) = jobs.values()
            self.reporter.line(f"already done (force=true trains it anew): {job.files.path}")
            self._show([job])
        return [plan if isinstance(plan, Exception) else self._outcome(plan) for plan in plans]

    def _plan(self, config: RunConfig) -> Job | Exception:
        """Find what a run needs; every mistake is found before the first run is trained."""
        try:
            device = choose_device(config.device)
            size = config.data.image_size
            if (config.model, size) not in self.checked_models:
                build_model(config.model, size, config.seed)
                self.checked_models.add((config.model, size))
            outputs = _writable(user_path("outputs", config.outputs))
            dataset = self._open(config.data, outputs)
            if isinstance(dataset, Exception):
                return dataset
            choice = choose_engine(config, dataset, device)
            digest = initial_weights_digest(config.model)
            identity = run_id(config, dataset.fingerprint, device.type, choice.engine, digest)
            files = run_dir(outputs, config.name or config.model.name, identity, config.seed)
        except BrokenPipeError:
            raise
        except Exception as error:
            self.on_failure(error)
            return error
        return Job(config, dataset, device, choice, files)

    def _open(self, config: AnyDataConfig, outputs: Path) -> Dataset | Exception:
        """Open a data set, or say what is wrong with it, once for all runs on it."""
        if config not in self.datasets:
            try:
                dataset = open_dataset(config, self.reporter)
            except BrokenPipeError:
                raise
            except Exception as error:
                self.datasets[config] = error
                self.on_failure(error)
                return error
            self.datasets[config] = dataset
            self.reporter.line(describe_data(dataset))
            self._leave_samples(outputs, dataset, config)
        return self.datasets[config]

    def _leave_samples(self, outputs: Path, dataset: Dataset, config: AnyDataConfig) -> None:
        try:
            leave_samples(outputs, dataset, config)
        except (BadImageError, UserError, OSError) as error:  # no reason not to train
            self.reporter.line(f"no sample images for the report: {error}")

    def _train(self, stack: Sequence[Job], waiting: Sequence[Job]) -> None:
        try:
            stack = self._with_intact_images(stack)
            with enough_memory(stack[0]):
                space = self._open_space(stack[0], waiting) if stack[0].choice.engine == "gram" else None
            failures: dict[Job, RunFailedError] = train_stack(stack, space, self.reporter)
        except BrokenPipeError:  # nobody reads on: an interruption, no failure of the runs
            raise
        except Exception as error:
            self.failures |= {job.files.path: error for job in stack}
            self.on_failure(error)
            _let_go(error)
            return
        for job, failure in failures.items():
            self.failures[job.files.path] = failure
            self.on_failure(failure)

    def _with_intact_images(self, stack: Sequence[Job]) -> list[Job]:
        """Return the same jobs with images that were all looked at, once in the life of the process."""
        config = stack[0].config.data
        if config not in self.intact:
            self.intact[config] = open_intact(config, stack[0].dataset, self.reporter)
        return [replace(job, dataset=self.intact[config]) for job in stack]

    def _open_space(self, job: Job, waiting: Sequence[Job]) -> GramSpace:
        """Open the Gram space of a job's data on its device, with the starts of all jobs that will use it."""
        key = (job.dataset.store, job.dataset.fingerprint, job.device)
        if self.space is None or self.space_key != key:
            self.space = None  # before the next one is built: there may not be room for two
            self.space, self.space_key = GramSpace(job.dataset, job.device, self.reporter), key
            alike = [
                other for other in waiting if other.choice.engine == "gram" and other.config.data == job.config.data
            ]
            self.space.prepare_starts(_first_weights(alike))
        return self.space

    def _show(self, jobs: Sequence[Job]) -> None:
        metrics = [read_json(job.files.metrics) or {} for job in jobs]
        if len(jobs) == 1:
            print_results(metrics[0], jobs[0].dataset.about, jobs[0].files.path, self.reporter)
        elif jobs:
            seeds = [job.files.path for job in jobs]
            print_results_of_many(metrics, jobs[0].dataset.about, seeds, self.reporter)
        for job in jobs:
            self._picture(job)

    def _picture(self, job: Job) -> None:
        if not job.files.has_figures() or job.config.force:
            self.painter.paint(job.files.path)

    def _outcome(self, job: Job) -> Outcome:
        metrics = read_json(job.files.metrics) or {}
        return self.failures.get(job.files.path) or float(metrics["val"]["accuracy"])


def _let_go(error: BaseException | None) -> None:
    """Free what the frames of an error hold, such as models and images; the error itself is kept to the end."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
    torch.cuda.empty_cache()  # nothing where CUDA is not in use


def _form_stacks(jobs: Sequence[Job]) -> list[list[Job]]:
    """Put together what can be trained together, in the order in which it was asked for."""
    alike: dict[object, list[Job]] = {}
    for job in jobs:
        alike.setdefault(_shape(job), []).append(job)
    return [
        stack[start : start + size]
        for stack in alike.values()
        for size in [_members_at_once(stack[0])]
        for start in range(0, len(stack), size)
    ]


def _shape(job: Job) -> object:
    """Return what the members of a stack have in common; the pixel engine trains every run alone."""
    config, optimizer = job.config, job.config.optimizer
    if job.choice.engine != "gram":
        return job.files.path
    assert isinstance(optimizer, SGDConfig)
    shared = (config.data, config.model, config.device, config.batch_size, config.epochs, config.deterministic)
    return (*shared, optimizer.nesterov)


def _members_at_once(job: Job) -> int:
    """Return how many members a stack may have: in Gram space each holds its first layer in several copies."""
    if job.choice.engine != "gram":
        return 1
    num_weights = _num_outputs(job.config.model) * job.config.data.image_size**2
    return min(_MOST_MEMBERS, max(1, _STACK_BYTES // (_BYTES_A_WEIGHT * num_weights)))


def _num_outputs(model: AnyModelConfig) -> int:
    """Return the number of outputs of the first layer of a model that the Gram engine can train."""
    assert isinstance(model, LinearConfig | LinearReLUConfig)
    return model.hidden if model.layers > 1 else 1


def _first_weights(jobs: Sequence[Job]) -> Iterator[Tensor]:
    """Give the initial weights of all first layers, each once: they depend on seed and shape only."""
    seen = set()
    for config in (job.config for job in jobs):
        key = (config.seed, _num_outputs(config.model), config.data.image_size)
        if key not in seen:
            seen.add(key)
            yield first_weight(build_model(config.model, config.data.image_size, config.seed))


def _name_stack(stack: Sequence[Job]) -> str:
    seeds = sorted({job.config.seed for job in stack})
    names = list(dict.fromkeys(job.files.path.parent.name for job in stack))
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    consecutive = len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1))
    return f"{listed}, seed {f'{seeds[0]} to {seeds[-1]}' if consecutive else ', '.join(map(str, seeds))}"


def _writable(outputs: Path) -> Path:
    """Check, before hours of work and without leaving anything, that the outputs tree can be written."""
    nearest = next(folder for folder in (outputs, *outputs.parents) if os.path.exists(folder))
    if not nearest.is_dir():
        raise UserError.for_key("outputs", outputs, f"cannot be made, {nearest} is a file")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError.for_key("outputs", outputs, f"cannot be written to, {nearest} forbids it")
    return outputs

"""What a run needs before it trains, looked up for all runs of a command before the first one starts."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from cxr_runner.artifacts.rundir import RunDir, run_dir
from cxr_runner.base.errors import UserError, user_path
from cxr_runner.base.numbers import list_few
from cxr_runner.base.progress import Reporter
from cxr_runner.config.identity import run_id
from cxr_runner.config.schema import (
    AnyModelConfig,
    LinearConfig,
    LinearReLUConfig,
    LogisticConfig,
    RunConfig,
)
from cxr_runner.config.validation import is_frozen, needs_gram
from cxr_runner.data.dataset import Dataset
from cxr_runner.experiment.shared_data import SharedData
from cxr_runner.models.build import (
    build_model,
    complete_config,
    initial_weights_digest,
    refuse_batches_of_one,
    try_model,
)
from cxr_runner.models.linear import first_weight
from cxr_runner.training.devices import choose_device
from cxr_runner.training.engines import Choice, choose_engine

OnFailure = Callable[[Exception], None]
_STACK_BYTES = 2 * 10**9  # while it trains; what comes after training is made for a few members at a time
_BYTES_AN_OUTPUT_AND_IMAGE = 48  # in float64: starts, coordinates and velocities, and a copy of each on the way
_MOST_MEMBERS = 128  # each holds a lock file open; the usual limits are 1,024 open files, and 256 on macOS


@dataclass(frozen=True, eq=False)
class PlannedRun:
    """A run before it trains.

    Attributes:
        config: its configuration, of one seed.
        dataset: its images.
        device: where it will compute.
        choice: the engine, and why.
        files: its directory.
        weights: digest of the file of initial weights; '' where there is none.
    """

    config: RunConfig
    dataset: Dataset
    device: torch.device
    choice: Choice
    files: RunDir
    weights: str


class Planner:
    """Plans the runs of a command; images are opened and models tried once, however many runs share them."""

    def __init__(self, reporter: Reporter, on_failure: OnFailure) -> None:
        """Begin with nothing opened.

        Args:
            reporter: shown what is opened.
            on_failure: called with every error as soon as it is known.
        """
        self.on_failure, self.data = on_failure, SharedData(reporter)
        self.failed_data: list[Exception] = []  # which runs share
        self.tried_models: set[tuple[AnyModelConfig, int]] = set()

    def plan(self, config: RunConfig) -> PlannedRun | Exception:
        """Look up what a run needs; return the error where that is not to be had."""
        try:
            device, size = choose_device(config.device), config.data.image_size
            config = replace(config, model=complete_config(config.model))
            if (config.model, size) not in self.tried_models:
                try_model(config.model, size)
                self.tried_models.add((config.model, size))
            outputs = _writable(user_path("outputs", config.outputs))
        except Exception as error:
            self.on_failure(error)
            return error
        dataset = self.data.open(config.data, outputs)
        if isinstance(dataset, Exception):
            if not any(dataset is error for error in self.failed_data):
                self.failed_data.append(dataset)
                self.on_failure(dataset)
            return dataset
        try:
            choice, digest = choose_engine(config, dataset, device), initial_weights_digest(config.model)
            if choice.engine == "pixel" and len(dataset.rows("train")) % config.batch_size == 1 % config.batch_size:
                refuse_batches_of_one(config.model, config.data.image_size, config.batch_size)
        except Exception as error:
            self.on_failure(error)
            return error
        identity = run_id(config, dataset.fingerprint, device.type, choice.engine, digest)
        files = run_dir(outputs, config.name or config.model.name, identity, config.seed)
        return PlannedRun(config, dataset, device, choice, files, digest)

    def with_intact_images(self, stack: Sequence[PlannedRun]) -> list[PlannedRun]:
        """Return the same runs with images that were all checked, once in the life of the process."""
        dataset = self.data.with_intact_images(stack[0].config.data)
        return [replace(run, dataset=dataset) for run in stack]


def form_stacks(runs: Sequence[PlannedRun]) -> list[list[PlannedRun]]:
    """Put together what can be trained together, in the order in which it was asked for."""
    alike: dict[object, list[PlannedRun]] = {}
    for run in runs:
        alike.setdefault(_sees(run), []).append(run)
    return [stack for together in alike.values() for stack in _cut(together)]


def _cut(together: Sequence[PlannedRun]) -> Iterator[list[PlannedRun]]:
    """Cut what could be one stack where it would be too large; runs of one seed see the same images and stay together.

    Members of one seed and one first layer begin with the same weights, which are there once.
    """
    if len(together) == 1:
        yield [*together]
        return
    stacks: list[set[PlannedRun]] = [set()]
    starts: dict[object, int] = {}  # bytes of the first weights of the last stack
    coordinates = 0  # bytes of those of the last stack
    for run in sorted(together, key=lambda run: run.config.seed):
        start, num_outputs = (run.config.seed, run.config.model), _num_outputs(run.config.model)
        start_bytes = 4 * num_outputs * run.config.data.image_size**2
        own_bytes = _BYTES_AN_OUTPUT_AND_IMAGE * num_outputs * len(run.dataset.images)
        total = sum((starts | {start: start_bytes}).values()) + coordinates + own_bytes
        if stacks[-1] and (total > _STACK_BYTES or len(stacks[-1]) == _MOST_MEMBERS):
            stacks.append(set())
            starts, coordinates = {}, 0
        stacks[-1].add(run)
        starts[start] = start_bytes
        coordinates += own_bytes
    for stack in stacks:
        yield [run for run in together if run in stack]


def name_stack(stack: Sequence[PlannedRun]) -> str:
    """Name the runs of a stack in one line."""
    seeds = sorted({run.config.seed for run in stack})
    names = list(dict.fromkeys(run.files.path.parent.name for run in stack))
    consecutive = len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1))
    listed = f"{seeds[0]} to {seeds[-1]}" if consecutive else ", ".join(map(str, seeds))
    split = stack[0].config.data.split
    fold = "" if split.folds is None else f", fold {split.fold} of {split.folds}, split seed {split.seed}"
    return f"{list_few(names, most=3)}{fold}, seed {listed}"


def first_weights(runs: Sequence[PlannedRun]) -> Iterator[Tensor]:
    """Give the initial weights of all first layers, each once: they depend on seed and shape only."""
    seen = set()
    for config in (run.config for run in runs):
        key = (config.seed, _num_outputs(config.model), config.data.image_size)
        if key not in seen:
            seen.add(key)
            yield first_weight(build_model(config.model, config.data.image_size, config.seed))


def _sees(run: PlannedRun) -> object:
    """Return what the members of a stack have in common: what they see; the pixel engine trains every run alone."""
    if run.choice.engine != "gram":
        return run.files.path
    config = run.config
    solved = isinstance(config.model, LogisticConfig)  # from all images at once, where others take batches
    frozen = config.model if is_frozen(config.model) else None  # whose features are seen, and not the images
    computed = config.device, config.kernels, config.deterministic
    return config.data, config.batch_size, *computed, solved, frozen, run.weights


def _num_outputs(model: AnyModelConfig) -> int:
    """Return the number of outputs of the first layer of what the Gram engine can train of a model."""
    if needs_gram(model):
        return 1
    assert isinstance(model, LinearConfig | LinearReLUConfig)
    return model.hidden if model.layers > 1 else 1


def _writable(outputs: Path) -> Path:
    """Check, before hours of work and without leaving anything, that the outputs tree can be written."""
    nearest = next(folder for folder in (outputs, *outputs.parents) if os.path.exists(folder))
    if not nearest.is_dir():
        raise UserError.for_key("outputs", outputs, f"cannot be made, {nearest} is a file")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError.for_key("outputs", outputs, f"cannot be written to, {nearest} forbids it")
    return outputs

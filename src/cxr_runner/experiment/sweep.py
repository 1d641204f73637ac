"""All runs of a command: planned first, then trained stack by stack; a run that fails stops no other."""

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from cxr_runner.artifacts.rundir import CHANGED
from cxr_runner.base.errors import RunFailedError
from cxr_runner.base.files import read_json
from cxr_runner.base.progress import Reporter, make_reporter
from cxr_runner.config.schema import CustomConfig, ResNet18Config, RunConfig, TorchvisionConfig
from cxr_runner.config.validation import is_frozen, needs_gram
from cxr_runner.experiment.member import enough_memory
from cxr_runner.experiment.plan import OnFailure, PlannedRun, Planner, first_weights, form_stacks, name_stack
from cxr_runner.experiment.run_figures import drawing_figures
from cxr_runner.experiment.stack import train_stack
from cxr_runner.experiment.summary import print_results, print_results_of_many
from cxr_runner.experiment.watch import Watch
from cxr_runner.models.build import build_model
from cxr_runner.training.devices import keep_freed_memory
from cxr_runner.training.gram.features import FeatureProducts, open_features
from cxr_runner.training.gram.products import StoreProducts
from cxr_runner.training.gram.space import GramSpace


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
        path: the run directory; None where the run could not be planned.
        accuracy: on the validation split; nan where the run failed.
        error: why it failed, :class:`UserError`, :class:`RunFailedError` or a mistake of this program; None if it did
            not.
    """

    path: Path | None
    accuracy: float = float("nan")
    error: Exception | None = None


def run_sweep(
    configs: Sequence[RunConfig], on_failure: OnFailure = lambda error: None, watch: Watch | None = None
) -> list[Outcome]:
    """Train and evaluate runs; those that are finished are not trained again, and one that fails stops no other.

    Args:
        configs: configurations of the runs, at least one, for one seed each.
        on_failure: called with every error as soon as it is known.
        watch: may end runs early.

    Returns:
        What became of each run.
    """
    keep_freed_memory()
    reporter, errors = make_reporter(configs[0].progress), dict[Path, Exception]()
    planner = Planner(reporter, on_failure)
    plans = [planner.plan(config) for config in configs]
    runs = list({plan.files.path: plan for plan in plans if isinstance(plan, PlannedRun)}.values())
    for path, problem in _altered(runs, reporter):
        errors[path] = problem
        on_failure(problem)
    runs = [run for run in runs if run.files.path not in errors]
    with drawing_figures(runs, reporter) as draw:
        waiting = _without_finished(runs, reporter, draw)
        waiting = [run for run in waiting if watch is None or not watch.has_ended(run)]
        stacks, spaces = form_stacks(waiting), _Spaces(reporter)
        for number, stack in enumerate(stacks, start=1):
            if len(runs) > 1:
                reporter.line(f"\n{name_stack(stack)} ({number} of {len(stacks)})")
            try:
                stack = planner.with_intact_images(stack)
                with enough_memory(stack[0]):
                    spaces.open(stack[0], waiting)
                failures: Mapping[Path, Exception] = train_stack(stack, spaces.current, reporter, watch)
            except Exception as error:
                on_failure(error)
                failures = {run.files.path: error for run in stack}
                _let_go(error)
            else:
                for failure in failures.values():
                    on_failure(failure)
            errors.update(failures)
            _show([run for run in stack if run.files.path not in failures], reporter, draw)
    return [Outcome(None, error=plan) if isinstance(plan, Exception) else _outcome(plan, errors) for plan in plans]


def train(configs: Sequence[RunConfig]) -> list[Path]:
    """Train and evaluate runs; what is finished is not trained again.

    Args:
        configs: configurations of the runs, at least one, for one seed each.

    Returns:
        The run directories.

    Raises:
        UserError: a configuration asks for something that is not there.
        RunFailedError: a run failed, once all others are finished; its directory says why.
    """
    outcomes = run_sweep(configs)
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    return list(dict.fromkeys(outcome.path for outcome in outcomes if outcome.path is not None))


class _Spaces:
    """Gram spaces, one at a time: there may not be room for two. Splits of one store share what they are made of."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.products: StoreProducts | FeatureProducts | None = None
        self.source: object = None  # what they are products of
        self.space: GramSpace | None = None
        self.split: str | None = None
        self.current: GramSpace | None = None

    def open(self, run: PlannedRun, waiting: Sequence[PlannedRun]) -> None:
        """Make current what a run needs: none, or that of its data and device, with the starts of all waiting runs."""
        self.current = None
        if run.choice.engine != "gram":
            return
        dataset, source = run.dataset, _source(run)
        if self.source != source:
            self.space = self.products = None  # they go before the next ones are opened
            self.products = self._open_products(run, waiting)
            self.source = source
        assert self.products is not None
        if self.space is None or self.split != dataset.fingerprint:
            self.space = None
            self.space, self.split = GramSpace(self.products, dataset), dataset.fingerprint
        self.current = self.space

    def _open_products(self, run: PlannedRun, waiting: Sequence[PlannedRun]) -> StoreProducts | FeatureProducts:
        dataset, config = run.dataset, run.config.model
        if isinstance(config, ResNet18Config | TorchvisionConfig | CustomConfig):  # frozen
            model = build_model(config, run.config.data.image_size, run.config.seed)
            features = open_features(model, config, dataset.images, dataset.store, run.device, self.reporter)
            return FeatureProducts(features, run.device)
        pixel_engine = not needs_gram(config)
        products = StoreProducts(dataset.images, dataset.store, run.device, self.reporter, pixel_engine=pixel_engine)
        alike = [one for one in waiting if one.choice.engine == "gram" and _source(one) == _source(run)]
        products.prepare_starts(first_weights(alike))
        return products


def _source(run: PlannedRun) -> object:
    """Return what the products of a run in Gram space are made of: images, or what a frozen model makes of them."""
    return run.dataset.store, run.device, run.config.model if is_frozen(run.config.model) else None, run.weights


def _altered(runs: Sequence[PlannedRun], reporter: Reporter) -> Iterator[tuple[Path, RunFailedError]]:
    """Yield the finished runs whose results are no longer those that they left, and what to say of each.

    They are not trained again by themselves: whoever has changed something may want to look at it first.
    """
    left = [run.files for run in runs if not run.config.force and run.files.metrics.is_file()]
    # Weights are read too: of a linear model at 640 pixels 16 MB, milliseconds a run.
    with (
        reporter.steps("verifying finished runs", len(left)) if len(left) > 1 else nullcontext(lambda: None) as advance
    ):
        for files in left:
            if name := files.altered():
                ways_out = "it is not trained again by itself: put that file back, or train it anew with force=true"
                yield files.path, RunFailedError(f"altered: {CHANGED.format(name=name)}; {ways_out} ({files.path})")
            advance()


def _without_finished(
    runs: Sequence[PlannedRun], reporter: Reporter, draw: Callable[[PlannedRun], None]
) -> list[PlannedRun]:
    """Return the runs that are to be trained, and say how many are finished."""
    waiting = [run for run in runs if run.config.force or not run.files.complete()]
    finished = [run for run in runs if run not in waiting]
    for run in finished:
        with suppress(OSError):  # left by a process that was killed as the run was done
            run.files.checkpoint.unlink(missing_ok=True)
    if len(runs) > 1 and finished:
        reporter.line(f"{len(finished)} of {len(runs)} runs are done already (force=true trains them anew)")
        for run in finished:
            draw(run)
    elif finished:
        reporter.line(f"already done (force=true trains it anew): {finished[0].files.path}")
        _show(finished, reporter, draw)
    return waiting


def _show(runs: Sequence[PlannedRun], reporter: Reporter, draw: Callable[[PlannedRun], None]) -> None:
    """Print and draw the results of finished runs."""
    if runs:
        metrics, dataset = [read_json(run.files.metrics) or {} for run in runs], runs[0].dataset
        about, warnings = dataset.about, dataset.checks.warnings()
        if len(runs) == 1:
            print_results(metrics[0], about, warnings, runs[0].files.path, reporter)
        else:
            print_results_of_many(metrics, about, warnings, [run.files.path for run in runs], reporter)
    for run in runs:
        draw(run)


def _outcome(run: PlannedRun, errors: dict[Path, Exception]) -> Outcome:
    path = run.files.path
    if path in errors:
        return Outcome(path, error=errors[path])
    return Outcome(path, float((read_json(run.files.metrics) or {})["val"]["accuracy"]))


def _let_go(error: BaseException | None) -> None:
    """Free what the frames of an error hold, such as models and images; the error itself is kept to the end."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
    torch.cuda.empty_cache()  # nothing where CUDA is not in use

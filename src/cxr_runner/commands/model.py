"""What ``cxr-model`` does with finished runs: predict, evaluate elsewhere, calibrate, export, explain, card."""

import re
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr_runner.base.errors import UserError

_OVERRIDE = re.compile(r"[+~]{0,2}(?P<key>[A-Za-z_][\w.]*)=")


@dataclass(frozen=True)
class ModelOrder:
    """What is asked for, but for the flags of a task.

    Attributes:
        runs: run directories, those of configurations.
        overrides: KEY=VALUE of the data.
        images: files, folders, tables that name images.
        device: where the model computes.
        config_dir: folder of further configuration files.
        trust: whether code that a run names may be run.
    """

    runs: tuple[str, ...]
    overrides: tuple[str, ...]
    images: tuple[str, ...]
    device: str
    config_dir: str | None
    trust: bool


def perform_model(given: Namespace) -> None:
    """Perform one task.

    Args:
        given: arguments as :func:`~cxr_runner.commands.arguments.read_model_arguments` reads them.

    Raises:
        UserError: a mistake in them, or a run or the data are not as they must be.
    """
    _check_flags(given)
    runs, overrides = _sort(given.words)
    order = ModelOrder(runs, overrides, tuple(given.images), given.device, given.config_dir, given.trust)
    if not runs:
        raise UserError(f"{given.task}: needs a run, e.g. outputs/runs/linear-0123456789/seed=0")
    _TASKS[given.task](order, given)


def _sort(words: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tell run directories from KEY=VALUE, though they are called ``seed=0``."""
    runs, overrides = [], []
    for word in words:
        match = _OVERRIDE.match(word)
        key = match["key"] if match else ""
        if key == "data" or key.startswith("data."):
            overrides.append(word)
        elif key and key != "seed" and not Path(word).exists():
            raise UserError(f"{word}: KEY=VALUE is for data here, such as data=folder data.root=DIR")
        else:
            runs.append(word)
    return tuple(runs), tuple(overrides)


def _predict(order: ModelOrder, given: Namespace) -> None:
    from cxr_runner.commands.predict_task import perform_predict

    perform_predict(order, given.out or Path("predictions.csv"))


def _evaluate(order: ModelOrder, given: Namespace) -> None:
    from cxr_runner.commands.evaluate_task import perform_evaluate

    perform_evaluate(order, given.map or (), given.name)


def _calibrate(order: ModelOrder, given: Namespace) -> None:
    from cxr_runner.commands.calibrate_task import perform_calibrate

    perform_calibrate(order, given.threshold or "0.5", given.calibration or "none")


def _export(order: ModelOrder, given: Namespace) -> None:
    from cxr_runner.commands.export_task import perform_export

    perform_export(order, given.format, given.out)


def _explain(order: ModelOrder, given: Namespace) -> None:
    from cxr_runner.commands.explain_task import perform_explain

    perform_explain(order, hidden=bool(given.hide_names))


def _card(order: ModelOrder, given: Namespace) -> None:
    from cxr_runner.commands.card_task import perform_card

    perform_card(order)


_TASKS: dict[str, Callable[[ModelOrder, Namespace], None]] = {
    "predict": _predict,
    "evaluate": _evaluate,
    "calibrate": _calibrate,
    "export": _export,
    "explain": _explain,
    "card": _card,
}
_FLAGS = {  # and the tasks that understand them
    "out": ("predict", "export"),
    "format": ("export",),
    "map": ("evaluate",),
    "name": ("evaluate",),
    "threshold": ("calibrate",),
    "calibration": ("calibrate",),
    "hide_names": ("explain",),
}


def _check_flags(given: Namespace) -> None:
    """Refuse flags of other tasks."""
    for flag, tasks in _FLAGS.items():
        if getattr(given, flag) is not None and given.task not in tasks:
            raise UserError(f"{given.task}: --{flag.replace('_', '-')} is a flag of cxr-model {' and '.join(tasks)}")

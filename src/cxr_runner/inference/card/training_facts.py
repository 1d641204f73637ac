"""How the networks of a model were trained, as the configurations of their runs say."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cxr_runner.base.numbers import plural

if TYPE_CHECKING:  # it is handed runs, it reads none
    from cxr_runner.inference.loaded_run import LoadedRun

_NO_AUGMENTATION = "no augmentation"
_BEGIN_RANDOM = ("linear", "linear_relu", "cnn", "resnet18")  # whatever the file or class of others holds


def training_facts(runs: "Sequence[LoadedRun]") -> dict[str, str]:
    """Return how runs were trained: ``training``, ``initialization``, ``selection``, ``imbalance``; none without runs.

    Where configurations differ, each is told once.

    Args:
        runs: the runs of a model.
    """
    if not runs:
        return {}
    seeds = sorted({run.run.seed for run in runs})
    said = {key: "; ".join(dict.fromkeys(words(run) for run in runs)) for key, words in _WORDS.items()}
    listed = ", ".join(map(str, seeds))
    said["training"] += f". {plural(len(runs), 'run')}, {'seed' if len(seeds) == 1 else 'seeds'} {listed}"
    return {key: f"{text}." if text else "" for key, text in said.items()}


def _training(run: "LoadedRun") -> str:
    config, metrics = run.run.config, run.run.metrics
    if _is_solved(run):
        return f"Binary cross entropy, L2 penalty {metrics.get('l2'):.4g}, solved to its optimum in Gram space"
    optimizer = ", ".join(
        f"{key} {value}" for key, value in _known(config, "optimizer").items() if value not in (None, False)
    )
    schedule = _known(config, "schedule").get("name", "constant")
    augment = ", ".join(f"{key} {value}" for key, value in _known(config, "augment").items() if value)
    parts = [
        f"Binary cross entropy, {optimizer.removeprefix('name ')}, schedule {schedule}",
        f"batches of {config.get('batch_size')}, {metrics.get('epochs_trained', config.get('epochs'))} epochs",
        f"augmentation {augment}" if augment else _NO_AUGMENTATION,
        f"{config.get('precision')}, engine {metrics.get('engine')} on {metrics.get('device')}",
    ]
    return ", ".join(parts)


def _initialization(run: "LoadedRun") -> str:
    """Say where training began; '' of models that may begin anywhere, such as one's own."""
    if _is_solved(run):
        return "Zero, and of no consequence: there is one optimum"
    model = _known(run.run.config, "model")
    if model.get("weights"):
        return "From a file of weights, model.weights"
    return "PyTorch's random weights, drawn from the seed" if model.get("name") in _BEGIN_RANDOM else ""


def _selection(run: "LoadedRun") -> str:
    if _is_solved(run):
        model = _known(run.run.config, "model")
        chosen = model.get("l2") == "path"
        return (
            f"The penalty that is best on val by {model.get('path_metric')}" if chosen else "A penalty that was given"
        )
    stopping = _known(run.run.config, "early_stopping")
    if stopping.get("restore_best"):
        return f"The weights of the epoch that was best on val by {stopping.get('metric')}"
    if stopping.get("patience") is not None:
        return f"The weights of the last epoch; training stops early by {stopping.get('metric')} on val"
    return "The weights of the last epoch"


def _imbalance(run: "LoadedRun") -> str:
    weight = run.run.metrics.get("pos_weight")
    return (
        f"The positive class weighs {weight:.4g} in the loss" if weight else "Both classes weigh the same in the loss"
    )


def _is_solved(run: "LoadedRun") -> bool:
    """Whether a run was solved to its optimum, without a learning rate."""
    return bool(_known(run.run.config, "model").get("name") == "logistic")


def _known(config: Mapping[str, Any], group: str) -> Mapping[str, Any]:
    """Return a group of settings; empty where an older run has none."""
    found = config.get(group)
    return found if isinstance(found, Mapping) else {}


_WORDS = {
    "training": _training,
    "initialization": _initialization,
    "selection": _selection,
    "imbalance": _imbalance,
}

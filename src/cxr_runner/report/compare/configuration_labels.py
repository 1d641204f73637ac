"""How configurations are called: by what was asked for and differs, in few words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cxr_runner.base.markdown import printable
from cxr_runner.config.identity import device_type_of
from cxr_runner.config.usual_settings import flatten_settings, overrides, usual_settings
from cxr_runner.report.collected_runs import CollectedRun
from cxr_runner.study.published import Study

_MODELS = {
    "linear": "linear",
    "linear_relu": "linear + ReLU",
    "logistic": "logistic",
    "cnn": "CNN",
    "resnet18": "ResNet-18",
}
_OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}
_HIDDEN = (
    "engine",
    "deterministic",
    "precision",
    "model.source",
)  # said where nothing else tells two configurations apart
_MOST_PARTS = 5


def label_configurations(runs: Mapping[str, CollectedRun], study: Study) -> dict[str, str]:
    """Return a label for every configuration, no two alike.

    ``name=`` wins, with what tells it from namesakes; a row of the study that was trained from its experiment file is
    called as the study calls it. Else the label is made of the settings that were asked for in one of the
    configurations and differ; what follows from others, as a learning rate from the model, is not among them.

    Args:
        runs: one run of every configuration, by the configuration's name.
        study: study whose rows runs may repeat.
    """
    asked: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs.values():
        asked.setdefault(_given_name(run), []).append(overrides(run.config))
    keys = {name: _differing(alike) for name, alike in asked.items()}
    labels = {name: _row_title(run, study) or _label(run, keys[_given_name(run)]) for name, run in runs.items()}
    labels = _with_place(labels, runs)
    for digits in (6, None):  # the whole id where its first digits are another's too, or a label that was given
        counts = Counter(labels.values())
        labels = {
            name: f"{label} ({runs[name].configuration.rpartition('-')[2][:digits]})" if counts[label] > 1 else label
            for name, label in labels.items()
        }
    return labels


def _with_place(labels: Mapping[str, str], runs: Mapping[str, CollectedRun]) -> dict[str, str]:
    """Tell configurations that are called the same by their engine and kind of device, as far as these differ."""
    alike: dict[str, list[str]] = {}
    for name, label in labels.items():
        alike.setdefault(label, []).append(name)
    placed = dict(labels)
    for label, names in alike.items():
        places = {name: _place(runs[name].metrics) for name in names}
        told = [part for part in (0, 1) if len({place[part] for place in places.values()}) > 1]
        if told:
            placed |= {name: f"{label} ({', '.join(places[name][part] for part in told)})" for name in names}
    return placed


def _place(metrics: Mapping[str, Any]) -> tuple[str, str]:
    return f"{metrics['engine']} engine", device_type_of(metrics)


def short_labels(labels: Mapping[str, str], runs: Mapping[str, CollectedRun], study: Study) -> dict[str, str]:
    """Return what configurations are called once their labels have been read: a row of the study by its number.

    Args:
        labels: as :func:`label_configurations` returns them.
        runs: one run of every configuration, by the configuration's name.
        study: study whose rows runs may repeat.
    """
    short = dict(labels)
    for name, run in runs.items():
        if (title := _row_title(run, study)) and labels[name].startswith(title):
            short[name] = f"model {run.row}{labels[name].removeprefix(title)}"
    return short


def _row_title(run: CollectedRun, study: Study) -> str:
    """Return what the study calls a run that was trained from its experiment file, '' of any other."""
    row = None if run.row is None else study.row(run.row)
    return f"{row.id}: {row.title}" if row is not None and run.name == row.run_name else ""


def _given_name(run: CollectedRun) -> str:
    """Return the name that a run was given, '' where it has that of its model."""
    return "" if run.name == run.config["model"]["name"] else run.name


def _differing(asked: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys that were asked for with different values, or by some only; those said last come last."""
    keys = dict.fromkeys(key for one in asked for key in one)
    return [key for key in keys if len({repr(one.get(key)) for one in asked}) > 1]


def _label(run: CollectedRun, keys: Sequence[str]) -> str:
    """Return a run's name, or else its model where that is not the same in all, and its settings with some keys."""
    settings, name = dict(flatten_settings(run.config)), _given_name(run)
    usual = usual_settings(str(settings["model"]), str(settings.get("optimizer")), "")
    told = [key for key in keys if key in settings and key not in ("model", *_HIDDEN)]
    if not told and not name:
        told = [key for key in keys if key in _HIDDEN]
    if name and settings.get("data.train_share") is not None:
        told = list(dict.fromkeys([*told, "data.train_share"]))
    parts = [said for key in told if (said := _words(key, settings[key], settings, usual))]
    if name or "model" in keys or not parts or told == ["data.train_share"]:
        model = str(settings["model"])
        parts.insert(0, name or _MODELS.get(model, model))
    more = len(parts) - _MOST_PARTS
    shown = [*parts[:_MOST_PARTS], *([f"{more} more"] if more > 0 else [])]
    return printable(", ".join(shown))


def _words(key: str, value: Any, settings: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    """Return a setting in words."""
    if key == "optimizer":
        return _OPTIMIZERS.get(str(value), str(value))
    if key == "loss.pos_weight":
        return "unweighted" if value is None else f"weight {_number(value)}"
    if key == "model.kernel_size":
        return f"{value}x{value} filters"
    if key == "data.split.strategy":
        return {"patient": "split by patient", "random": "split at random"}.get(str(value), "usual split")
    if key == "data.train_share":
        return f"{value:.4g} of train"
    if key == "data.split.folds":
        return "one split" if value is None else f"{value} folds"
    units = {"epochs": "epochs", "model.layers": "layers", "precision": ""}
    units["model.hidden"] = "filters" if settings["model"] == "cnn" else "units"
    if key in units:
        return f"{value} {units[key]}".strip()
    short = {"optimizer.lr": "lr", "batch_size": "batch", "schedule": "schedule"}.get(key, key.rpartition(".")[2])
    short = short.replace("_", " ")
    if isinstance(value, bool):
        return short if value else f"no {short}"
    if value is None:
        return "" if key not in usual else f"no {short}"
    return f"{short} {_number(value)}"


def _number(value: Any) -> str:
    """Return a number as people write it, 1e-3 for 0.001; any other value as it is."""
    if not isinstance(value, float):
        return str(value)
    if not 0 < abs(value) < 0.01:
        return f"{value:g}"
    digits, exponent = f"{value:.3e}".split("e")
    return f"{float(digits):g}e{int(exponent)}"

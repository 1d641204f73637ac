"""What a card knows of a model: facts by their names, each a text of sentences, '' where nothing is known.

Nothing is concluded that no file of a run says; no image and no patient is named.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from cxr_runner.artifacts.inventory_line import inventory_line
from cxr_runner.base.markdown import printable, sentence
from cxr_runner.base.numbers import list_few, plural
from cxr_runner.inference.card.training_facts import training_facts
from cxr_runner.inference.export import describe_export
from cxr_runner.models.build import describe_model

if TYPE_CHECKING:  # it is handed a model, it loads none
    from cxr_runner.inference.loaded_model import LoadedModel
    from cxr_runner.inference.loaded_run import LoadedRun

_SPLITS = ("train", "val", "test")


def card_facts(model: "LoadedModel", evaluations: Sequence[Mapping[str, Any]], *, explained: bool) -> dict[str, str]:
    """Gather what is known.

    Args:
        model: the model.
        evaluations: contents of ``evaluation.json`` of the model.
        explained: whether ``cxr-model explain`` has been run on it.
    """
    runs = model.parts.runs
    external = [
        f"{printable(one['data']['title'])}: {_counted(one['outside'])}. {' '.join(one['verdict'])}"
        for one in evaluations
    ]
    negative, positive = model.class_names
    members = {describe_model(member.config, member.network) for member in model.members}
    export = describe_export(model)
    facts = {
        "outcome": f"{positive} (1) or {negative} (0), as the data label each image.",
        "study": "Development of a model, and its evaluation on held-out images"
        + (" and on images of another place." if external else "; on images of another place it was not evaluated."),
        "source": _source(model.parts.trained_on),
        "predictors": "The pixels of one image, all of them; nothing else is used, and nothing that a person assesses.",
        "preprocessing": f"Every image becomes {model.image_size}x{model.image_size} pixels: "
        f"{export['input']['preprocessing']}.",
        "architecture": f"{plural(len(model.members), 'network')}: {'; '.join(sorted(members))}.",
        "ensemble": "The logit is the mean of those of all networks."
        if len(model.members) > 1
        else "None: one network.",
        "output": _output(model),
        "calibration": _calibration(model),
        "measures": "AUROC; Brier score, expected calibration error, calibration slope and in the large; "
        "at the threshold accuracy, sensitivity, specificity, predictive values and F1.",
        "uncertainty": "95 % intervals by resampling patients, images where these are not known, 1,000 times.",
        "performance": "See the metrics on its own test images.",
        "external": " ".join(external),
        "explained": "Weights, attributions and the training images behind predictions: explanations/ beside the run."
        if explained
        else "",
        "code": f"cxr_runner {version('cxr-runner')}, MIT licence"
        + (f"; trained by {_versions(runs)}." if runs else f"; exported by {export['made_by']}."),
        "use": "cxr_runner.load gives the torch.nn.Module and its preprocessing; XXH3 of the weights "
        f"{', '.join(member.weights or 'not recorded' for member in model.members)}.",
        "input_checks": "cxr-model predict reports files that cannot be read, and images that are darker, brighter, "
        "inverted, of other borders or bits than the training images.",
    }
    return {**facts, **_data_facts(runs), **training_facts(runs)}


def _source(trained_on: Mapping[str, Any]) -> str:
    said = [printable(trained_on["title"]) or "Not named"]
    said += [f"Cite: {printable(trained_on['citation'])}"] if trained_on["citation"] else []
    said += [f"Licence of the images: {printable(trained_on['licence'])}"] if trained_on["licence"] else []
    return " ".join(map(sentence, said))


def _output(model: "LoadedModel") -> str:
    negative, positive = model.class_names
    point = model.point
    said = sentence(f"A logit; its probability; {positive} above a logit of {point.threshold:.6g}, else {negative}")
    fitted = f", fitted on {point.fitted_on}" if point.fitted_on else ""
    return f"{said} Threshold {point.rule}{fitted}."


def _calibration(model: "LoadedModel") -> str:
    if model.point.calibration == "none":
        return "Not calibrated: a probability is the sigmoid of the logit as trained."
    return f"{model.point.calibration}, fitted on {model.point.fitted_on}; nothing else was updated."


def _counted(side: Mapping[str, Any]) -> str:
    of = f" of {side['patients']:,} patients" if side["patients"] is not None else ", patients not known"
    return f"{side['images']:,} images{of}, {side['positive']:,} positive"


def _versions(runs: "Sequence[LoadedRun]") -> str:
    known = {", ".join(f"{name} {one}" for name, one in run.run.metrics.get("versions", {}).items()) for run in runs}
    return "; ".join(sorted(filter(None, known))) or "versions that are not recorded"


def _data_facts(runs: "Sequence[LoadedRun]") -> dict[str, str]:
    """Return what the data of runs were; that of the first is meant where splits differ, and said so."""
    if not runs:
        return {}
    data = runs[0].run.data
    seen = [str(run.run.metrics.get("data_fingerprint", "")) for run in runs]
    facts = [run.run.data.get("split") or {} for run in runs]
    splits = len({of_run.get("whole") or fingerprint for of_run, fingerprint in zip(facts, seen, strict=True)})
    shares = sorted({of_run.get("train_share", 1) for of_run in facts})
    several = f"{splits} splits of the same images. " if splits > 1 else ""
    several += f"Shares of the training images: {', '.join(map(str, shares))}. " if len(shares) > 1 else ""
    of_first = "Of the first of them: " if several else ""
    return {
        "inventory": _inventory(data.get("inventory") or {}),
        "excluded": _excluded(data) + _left_out(runs),
        "counts": of_first + _counts(data),
        "splits": several + of_first + _splits(data),
        "level": of_first + _level(data),
    }


def _inventory(inventory: Mapping[str, Any]) -> str:
    """Return what was read; what was passed over is only counted, as the names of files may be those of patients."""
    return inventory_line({key: inventory.get(key) for key in ("classes", "bits")})


def _excluded(data: Mapping[str, Any]) -> str:
    duplicates, unreadable = (len(data.get(key) or ()) for key in ("duplicates_dropped", "unreadable_skipped"))
    inventory = data.get("inventory") or {}
    said = [plural(duplicates, "duplicate"), plural(unreadable, "unreadable image")]
    said += [f"{filtered:,} by a condition"] if (filtered := inventory.get("filtered")) else []
    passed_over = [one.get("files") for one in inventory.get("passed_over") or ()]
    number = sum(len(files) if isinstance(files, list) else int(files or 0) for files in passed_over)
    return f"{', '.join([*said, *([plural(number, 'other file')] if number else [])])}."


def _left_out(runs: "Sequence[LoadedRun]") -> str:
    """Say what training images runs did not see because each was given a share of them."""
    shares = filter(None, (_train_share(run.run.data) for run in runs))
    said = dict.fromkeys(f"{one.whole - one.kept:,} of {one.whole:,} by {one.setting}" for one in shares)
    return f" Training images: {list_few(list(said), '; ')}." if said else ""


class _TrainShare(NamedTuple):
    """How many of the training images of its split a run was trained on, and how that was asked for."""

    setting: str
    kept: int
    whole: int


def _train_share(data: Mapping[str, Any]) -> _TrainShare | None:
    """Return the share of the training images that a run was given; None of all."""
    facts, train = data.get("split") or {}, (data.get("counts") or {}).get("train") or {}
    if "train_share" not in facts:
        return None
    return _TrainShare(f"data.train_share={facts['train_share']}", sum(train.values()), facts["whole_train"])


def _counts(data: Mapping[str, Any]) -> str:
    counts, patients = data.get("counts") or {}, data.get("num_patients") or {}
    parts = []
    for split in _SPLITS:
        if split in counts:
            classes = ", ".join(f"{number:,} {printable(name)}" for name, number in counts[split].items())
            of = f" of {patients[split]:,} patients" if split in patients else ""
            parts.append(f"{split} {classes}{of}")
    return "; ".join(parts) + ("." if patients else ". Patients are not known.") if parts else ""


def _splits(data: Mapping[str, Any]) -> str:
    facts = data.get("split") or {}
    if not facts:
        return ""
    said = f"Strategy {facts.get('strategy')}, seed {facts.get('seed')}"
    said += f", fold {facts.get('fold')} of {facts.get('folds')} as test" if facts.get("folds") else ""
    said += ", the test split that comes with the data." if facts.get("given_test") else "."
    share = _train_share(data)
    trained = f" Trained on {share.kept:,} of {share.whole:,} training images, {share.setting}." if share else ""
    return said + trained


def _level(data: Mapping[str, Any]) -> str:
    """Say at what level splits are apart, as far as the checks of the data told."""
    if data.get("num_patients") is None:
        return "Images; patients are not known, so that some may be in several splits."
    shared = [one for one in (data.get("checks") or {}).get("patients") or () if one.get("test") or one.get("val")]
    if not shared:
        return "Patients, as far as they are known."
    listed = [f"{one['test']:,} test and {one['val']:,} val images by {one['key']}" for one in shared]
    return f"Images. Of patients who are in train too are {list_few(listed, '; ')}."

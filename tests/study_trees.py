"""Made-up runs of the study's rows, as ``cxr-run`` would leave them, in milliseconds and without training."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from cxr_runner.artifacts.rundir import RunDir, run_dir
from cxr_runner.artifacts.samples import Sample, samples_path, write_samples
from cxr_runner.study import Row, load_study
from run_trees import PHANTOM

COUNTS = {
    "train": {"NORMAL": 1102, "PNEUMONIA": 2975},
    "val": {"NORMAL": 315, "PNEUMONIA": 850},
    "test": {"NORMAL": 171, "PNEUMONIA": 411},
}
STUDIED = PHANTOM | {"counts": COUNTS, "num_images": 5824, "positive_class": "PNEUMONIA"}


def write_study(
    outputs: Path,
    seeds: Iterable[int] = range(3),
    rows: Iterable[str] | None = None,
    data: dict[str, Any] = STUDIED,
    image_size: int = 64,
    names: str | None = None,
    lr: float | None = None,
    engine: str = "pixel",
) -> None:
    """Write finished runs of rows of the study, of all of them and at their learning rates unless told otherwise.

    With ``names``, such as ``patient{}.png``, they leave predictions of so-called images, two a patient.
    """
    study = load_study()
    for number, row in enumerate(study.rows):
        if rows is None or row.id in rows:
            for seed in seeds:
                trained = row if lr is None else row.changed(optimizer__lr=lr)
                files = _write_run(outputs, trained, number, seed, data, image_size, engine)
                if names:
                    _write_predictions(files, row, number, seed, names)


def write_made_up_samples(outputs: Path, fingerprint: str) -> None:
    """Write samples of noise that are wider than high."""
    rng = np.random.default_rng(0)
    samples = [
        Sample(f"{label}/image{i}.png", label, _noise(rng, 60, 90), _noise(rng, 64, 64), (900, 600), 64)
        for label in ("NORMAL", "PNEUMONIA")
        for i in range(2)
    ]
    path = samples_path(outputs, fingerprint)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_samples(path, samples)


def study_config(row: Row, data: dict[str, Any], image_size: int, seed: int) -> dict[str, Any]:
    """Return the configuration of a run that repeats a row."""
    config: dict[str, Any] = {"data": data | {"image_size": image_size}, "seed": seed, "outputs": "outputs"}
    for key, value in {**load_study().conditions, **row.settings()}.items():
        *groups, last = key.split(".")
        group_values = config
        for group in groups:
            group_values = group_values.setdefault(group, {})
        group_values[last] = value
    return config


def _write_run(
    outputs: Path, row: Row, number: int, seed: int, data: dict[str, Any], image_size: int, engine: str
) -> RunDir:
    rng = np.random.default_rng([number, seed])
    suffix = f"{number:05x}{round(1e5 * row.lr):05x}"
    files = run_dir(outputs, row.experiment, suffix, seed)
    files.path.mkdir(parents=True)
    config = study_config(row, {"name": "phantom", "patient_pattern": r"patient\d+"}, image_size, seed)
    files.config.write_text(json.dumps(config).replace("1e-05", "1.0e-05"))  # is YAML too, and quickly written
    files.data.write_text(json.dumps(data))
    epochs = np.arange(1, row.epochs + 1)
    speed = 0.15 / row.layers * (1 + 0.2 * rng.standard_normal())
    fall = np.exp(-speed * epochs)
    noise = 0.02 * rng.standard_normal((2, len(epochs)))
    lines = ["epoch,train_loss,train_accuracy,val_loss,val_accuracy,lr,seconds"]
    lines += [
        f"{epoch},{0.1 + 0.6 * f:.6f},{0.95 - 0.25 * f:.6f},{0.15 + 0.55 * f + abs(a):.6f},"
        f"{min(1, 0.93 - 0.23 * f + b):.6f},{row.lr},0.5"
        for epoch, f, a, b in zip(epochs, fall, *noise, strict=True)
    ]
    files.history.write_text("\n".join(lines) + "\n")
    files.metrics.write_text(json.dumps(_metrics(row, rng) | {"engine": engine}))
    files.status.write_text(json.dumps({"state": "done", "host": "nowhere"}))
    return files


def _write_predictions(files: RunDir, row: Row, number: int, seed: int, names: str) -> None:
    """Write predictions that a class weight shifts, and nothing else; every run finds the same images hard."""
    labels = np.arange(160) % 4 > 0
    hardness = np.random.default_rng(0).standard_normal(len(labels))
    noise = np.random.default_rng([number, seed, 1]).standard_normal(len(labels))
    logits = 3 * labels - 1 + 1.2 * hardness + 0.3 * noise + np.log(row.pos_weight or 1)
    if row.family == "linear_relu":
        logits = np.maximum(logits, 0)
    lines = ["split,name,label,logit,probability"]
    for image, (label, logit) in enumerate(zip(labels, logits, strict=True)):
        split = "val" if image < 80 else "test"
        probability = 1 / (1 + np.exp(-logit))
        lines.append(
            f"{split},{label:d}/{image % 2}/{names.format(image // 2)},{label:d},{logit:.7g},{probability:.17g}"
        )
    files.predictions.write_text("\n".join(lines) + "\n")


def _metrics(row: Row, rng: np.random.Generator) -> dict[str, Any]:
    fn, fp = int(rng.integers(5, 30)), int(rng.integers(10, 40))
    tp, tn = 411 - fn, 171 - fp
    accuracy = (tp + tn) / 582
    test = {"accuracy": accuracy, "accuracy_batch_mean": accuracy - 0.002, "precision": tp / (tp + fp)}
    test |= {"recall": tp / 411, "specificity": tn / 171, "f1": 2 * tp / (2 * tp + fp + fn), "auroc": 0.97}
    test |= {"auprc": 0.98, "brier": 0.06, "ece": 0.03, "tp": tp, "fp": fp, "fn": fn, "tn": tn, "n": 582}
    facts = {"device": "cpu (2 threads)", "pos_weight": row.pos_weight}
    facts |= {"versions": {"cxr-runner": "0.1.0", "torch": "2.15.0"}, "git_commit": "0" * 40}
    collapsed = row.family == "linear_relu" and row.layers > 2
    return {"val": test, "test": test, "collapsed": collapsed, "train_seconds": 0.5 * row.epochs, **facts}


def _noise(rng: np.random.Generator, height: int, width: int) -> Any:
    return rng.integers(0, 256, (height, width), dtype=np.uint8)

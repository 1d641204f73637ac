"""Made-up runs of several configurations on folds, repeats and seeds, as ``cxr-run`` leaves them, without training.

The files agree with each other and with their checksums. A few hundred runs take seconds.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_runner.artifacts.rundir import RunDir, run_dir
from cxr_runner.base.checked_json import write_checked_json
from cxr_runner.base.checksums import checksum, digest
from cxr_runner.config.compose import compose
from cxr_runner.config.identity import run_id_of_dict, to_dict

CLASSES = ("NORMAL", "PNEUMONIA")


@dataclass(frozen=True)
class Images:
    """So-called images, one to three a patient.

    Attributes:
        source: fingerprint of the images and labels.
        names: name of every image.
        patients: patient of every image; all '' where patients are not known.
        labels: int [images], two in three positive.
        hardness: float [images], what every run adds to the logit of an image.
        given_test: bool [images], the test split that the data bring; empty for none.
        columns: further columns of the predictions, one value an image.
    """

    source: str
    names: tuple[str, ...]
    patients: tuple[str, ...]
    labels: NDArray[np.int64]
    hardness: NDArray[np.float64]
    given_test: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """One split: its seed and fold, bool [images] of train, val and test, and how it was made."""

    seed: int
    fold: int | None
    masks: dict[str, NDArray[np.bool_]]
    facts: dict[str, Any]


def make_images(
    num: int = 240, *, tag: str = "a", known: bool = True, given_test: bool = False, name: str = "image{}.png"
) -> Images:
    """Make images; other tags make other ones, ``known`` says whether patients are known."""
    rng = np.random.default_rng([num, len(tag), *tag.encode()])
    sizes = rng.integers(1, 4, num)
    codes = np.repeat(np.arange(num), sizes)[:num]
    labels = (rng.random(num) < 2 / 3)[codes].astype(np.int64)
    hardness = 0.6 * rng.standard_normal(num)[codes] + 0.8 * rng.standard_normal(num)
    patients = tuple(f"person{code:04d}" if known else "" for code in codes)
    names = tuple(f"{CLASSES[label]}/{name.format(number)}" for number, label in enumerate(labels))
    test = codes >= codes[-1] * 2 // 3 if given_test else np.zeros(0, bool)
    return Images(digest(f"{num} {tag}", 16), names, patients, labels, hardness, test)


def make_splits(
    images: Images,
    folds: int | None = 5,
    repeats: int = 1,
    strategy: str = "patient",
    val_share: float = 0.125,
    first_seed: int = 0,
) -> list[Split]:
    """Split images as ``data/`` does: each fold is test in its turn, or val where the data bring a test split."""
    units = images.patients if strategy == "patient" and images.patients[0] else images.names
    _, first, codes = np.unique(np.array(units), return_index=True, return_inverse=True)
    splits = []
    for seed in range(first_seed, first_seed + repeats):
        drawn = np.random.default_rng([seed, folds or 0]).permutation(len(first))
        order = np.zeros_like(drawn)
        for label in (0, 1):  # each fold has its share of either class
            of_class = np.flatnonzero(images.labels[first] == label)
            order[of_class[np.argsort(drawn[of_class])]] = np.arange(len(of_class))
        for fold in range(folds) if folds else [None]:
            splits.append(_split(images, order[codes], seed, folds, fold, strategy, val_share))
    return splits


def _split(
    images: Images,
    order: NDArray[np.int64],
    seed: int,
    folds: int | None,
    fold: int | None,
    strategy: str,
    val_share: float,
) -> Split:
    of_fold = order % 5 == 0 if folds is None else order % folds == fold
    brought = len(images.given_test) > 0
    test = images.given_test if brought else of_fold
    rest = order // (folds or 5)
    val = of_fold & ~test if brought else ~test & (rest % round(1 / val_share) == 0)
    facts = {"strategy": strategy, "seed": seed, "folds": folds, "fold": fold, "val_share": val_share}
    facts |= {"rotates": "val" if brought else "test", "given_test": brought}
    return Split(seed, fold, {"train": ~test & ~val, "val": val, "test": test}, facts)


@dataclass(frozen=True)
class Maker:
    """Writes the runs of one configuration.

    Attributes:
        root: outputs tree.
        images: images that it is trained on.
        splits: splits of these.
        settings: arguments of ``cxr-run``, by dotted keys, those of images and splits left out.
        name: ``name=``; None for that of the model.
        image_size: side of the images in pixels.
        gain: added to the logits of positive images and taken from those of others.
        shift: added to all logits.
        noise: how different runs are.
        tag: makes the noise another one.
        old: as before there were checksums, fingerprints of parts, and splits in ``data.json``.
        started: when the runs began.
        predictions: whether predictions are written.
    """

    root: Path
    images: Images
    splits: Collection[Split]
    settings: Mapping[str, object] = field(default_factory=dict)
    name: str | None = None
    image_size: int = 64
    gain: float = 1.0
    shift: float = 0.0
    noise: float = 0.5
    tag: int = 0
    old: bool = False
    started: str = "2026-01-01T00:00:00+00:00"
    predictions: bool = True

    def write(
        self,
        seeds: Iterable[int] = range(3),
        skip: Callable[[Split, int], bool] = lambda split, seed: False,
        collapsed: Callable[[Split, int], bool] = lambda split, seed: False,
    ) -> list[RunDir]:
        """Write the runs of all splits and seeds but those to skip; some may be said to have collapsed."""
        every = [(split, seed) for split in self.splits for seed in seeds]
        return [self._write(split, seed, collapsed(split, seed)) for split, seed in every if not skip(split, seed)]

    def _write(self, split: Split, seed: int, collapsed: bool) -> RunDir:
        config, data = self.config(split, seed), self.data(split)
        logits = self._logits(split, seed)
        if collapsed:
            logits = np.full_like(logits, 0.7)
        metrics = self._metrics(split, logits, config["batch_size"]) | {"collapsed": collapsed}
        run_id = run_id_of_dict(config, data["fingerprint"], "cpu", "pixel", "")
        files = run_dir(self.root, self.name or config["model"]["name"], run_id, seed)
        files.path.mkdir(parents=True)
        contents = {
            files.config: _yaml(config),
            files.data: json.dumps(data),
            files.history: _history(),
            files.metrics: json.dumps(metrics),
        }
        if self.predictions:
            contents[files.predictions] = self._predictions(split, logits)
        for path, content in contents.items():
            path.write_text(content)
        status: dict[str, Any] = {"state": "done", "started": self.started}
        if self.old:
            files.status.write_text(json.dumps(status))
        else:
            checksums = {path.name: checksum(content.encode()) for path, content in contents.items()}
            write_checked_json(files.status, status | {"checksums": checksums})
        return files

    def config(self, split: Split, seed: int) -> dict[str, Any]:
        """Return the configuration of a run."""
        chosen = {key: self.settings[key] for key in ("model", "optimizer") if key in self.settings}
        config: dict[str, Any] = json.loads(_composed(tuple(f"{key}={value}" for key, value in chosen.items())))
        for key, value in self.settings.items():
            *groups, last = key.split(".")
            if key not in chosen:
                _inner(config, groups)[last] = value
        facts = split.facts
        config |= {"seed": seed, "name": self.name}
        config["data"] |= {"image_size": self.image_size, "subgroups": list(self.images.columns) or None}
        config["data"]["split"] |= {"strategy": facts["strategy"], "seed": split.seed, "val_share": facts["val_share"]}
        config["data"]["split"] |= {"folds": facts["folds"], "fold": "all" if split.fold is None else split.fold}
        if self.old:
            for key in ("repeats", "folds", "fold"):
                del config["data"]["split"][key]
        return config

    def data(self, split: Split) -> dict[str, Any]:
        """Return the content of ``data.json``."""
        images = self.images
        parts = {"source": images.source, "split": digest(_assignment(split), 16), "size": self.image_size}
        counts = {
            name: {label: int((mask & (images.labels == code)).sum()) for code, label in enumerate(CLASSES)}
            for name, mask in split.masks.items()
        }
        data: dict[str, Any] = {
            "title": "Ward 7",
            "citation": "Nobody et al., 2020",
            "licence": "CC BY 4.0",
            "synthetic": False,
            "fingerprint": digest(json.dumps(parts, sort_keys=True), 16),
            "num_images": len(images.names),
            "positive_class": CLASSES[1],
            "counts": counts,
            "duplicates_dropped": [],
            "unreadable_skipped": [],
        }
        return data if self.old else data | {"fingerprints": parts, "split": split.facts, "warnings": []}

    def _logits(self, split: Split, seed: int) -> NDArray[np.float64]:
        """Return logits [images]: what an image, the training images, the seed and chance make them."""
        images, fold = self.images, -1 if split.fold is None else split.fold
        of_split = np.random.default_rng([1, self.tag, split.seed, fold + 1]).standard_normal()
        of_seed = np.random.default_rng([2, self.tag, seed]).standard_normal()
        rng = np.random.default_rng([3, self.tag, split.seed, fold + 1, seed])
        level = self.shift + 0.3 * self.noise * (of_split + of_seed)
        chance = self.noise * rng.standard_normal(len(images.names))
        return np.round(self.gain * (2 * images.labels - 1) + level + images.hardness + chance, 5)

    def _metrics(self, split: Split, logits: NDArray[np.float64], batch_size: int) -> dict[str, Any]:
        of = {name: _score(logits[mask], self.images.labels[mask], batch_size) for name, mask in split.masks.items()}
        facts = {"train_seconds": 2.0, "engine": "pixel", "device": "cpu (2 threads)"}
        return {"val": of["val"], "test": of["test"], **facts, "pos_weight": self.settings.get("loss.pos_weight")}

    def _predictions(self, split: Split, logits: NDArray[np.float64]) -> str:
        images = self.images
        lines = [",".join(["split", "name", "patient", "label", "logit", "probability", *images.columns])]
        for name in ("val", "test"):
            for row in np.flatnonzero(split.masks[name]):
                cells = [name, images.names[row], images.patients[row], str(images.labels[row])]
                cells += [f"{logits[row]:.5f}", f"{1 / (1 + np.exp(-logits[row])):.6f}"]
                lines.append(",".join([*cells, *(column[row] for column in images.columns.values())]))
        return "\n".join(lines) + "\n"


@cache
def _composed(arguments: tuple[str, ...]) -> str:
    (run,) = compose(["data=phantom", *arguments])
    return json.dumps(to_dict(run))


def _inner(config: dict[str, Any], groups: Iterable[str]) -> dict[str, Any]:
    for group in groups:
        config = config[group]
    return config


def _yaml(config: dict[str, Any]) -> str:
    """Return JSON, which is YAML too, and quickly written; but for numbers such as 1e-05, which YAML calls text."""
    return json.dumps(config).replace("1e-05", "1.0e-05")


def _assignment(split: Split) -> str:
    return " ".join(f"{name} {np.packbits(mask).tobytes().hex()}" for name, mask in split.masks.items())


def _history() -> str:
    lines = ["epoch,train_loss,train_accuracy,val_loss,val_accuracy,lr,seconds"]
    return "\n".join([*lines, *(f"{n},{0.7 / n},{1 - 0.3 / n},{0.6 / n},{1 - 0.4 / n},1e-4,0.5" for n in (1, 2, 3))])


def _score(logits: NDArray[np.float64], labels: NDArray[np.int64], batch_size: int) -> dict[str, float]:
    """Return the metrics of a split, by their definitions."""
    called, truth = logits > 0, labels == 1
    tp, fp = int((called & truth).sum()), int((called & ~truth).sum())
    fn, tn = int((~called & truth).sum()), int((~called & ~truth).sum())
    batches = [(called == truth)[start : start + batch_size].mean() for start in range(0, len(labels), batch_size)]
    gaps = logits[truth][:, None] - logits[~truth]
    auroc = float((gaps > 0).mean() + (gaps == 0).mean() / 2)
    return {
        "accuracy": (tp + tn) / len(labels),
        "accuracy_batch_mean": float(np.mean(batches)),
        "precision": tp / (tp + fp) if tp + fp else 0.0,
        "recall": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "f1": 2 * tp / (2 * tp + fp + fn),
        "auroc": auroc,
        "auprc": auroc,
        "brier": float(np.mean((1 / (1 + np.exp(-logits)) - labels) ** 2)),
        "ece": 0.05,
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "tn": tn,
        "n": len(labels),
    }

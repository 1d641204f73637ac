"""Made-up runs that kept columns of subgroups, with checksums and metrics that agree, as ``cxr-run`` leaves them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr_runner.artifacts.rundir import RunDir
from cxr_runner.base.checked_json import write_checked_json
from cxr_runner.base.checksums import checksum
from cxr_runner.base.files import write_csv, write_json
from cxr_runner.config.identity import run_id_of_dict
from cxr_runner.report.collect.agreement import recompute
from run_trees import CONFIG, HOSPITAL, run_metrics, write_run

NUM_IMAGES = 400  # of val and of test each


def make_images(columns: Mapping[str, Sequence[str]], patients: bool = False) -> pd.DataFrame:
    """Return val and test, a third of them negative; a column has one value an image of test, '' in all of val."""
    num = len(next(iter(columns.values()), [""] * NUM_IMAGES))
    number = np.arange(2 * num)
    images = pd.DataFrame({"split": np.where(number < num, "val", "test"), "name": [f"{i}.png" for i in number]})
    images["patient"] = [f"p{i // 2}" for i in number] if patients else ""
    images["label"] = (number % 3 > 0).astype(int)
    for name, values in columns.items():
        images[name] = [""] * num + list(values)
    return images


def write_grouped_run(
    outputs: Path,
    images: pd.DataFrame,
    logits: Any,
    subgroups: Any,
    seed: int = 0,
    name: str = "linear",
    batch_size: int = 32,
    data: dict[str, Any] = HOSPITAL,
    collapsed: bool = False,
) -> RunDir:
    """Write a finished run whose files agree with each other and with their checksums."""
    config = CONFIG | {"data": {"name": "folder", "image_size": 64, "subgroups": subgroups}, "batch_size": batch_size}
    metrics = run_metrics(collapsed=collapsed)
    logits = np.asarray(logits, float)
    for split in ("val", "test"):
        of_split = (images["split"] == split).to_numpy()
        metrics[split] |= recompute(images["label"].to_numpy()[of_split], logits[of_split], batch_size)
    run_id = run_id_of_dict(config | {"seed": seed}, data["fingerprint"], "cpu", metrics["engine"], "")
    files = write_run(outputs, name, run_id, seed, config=config, metrics=metrics, data=data)
    first, others = images[["split", "name", "patient", "label"]], images.iloc[:, 4:]
    scores = pd.DataFrame({"logit": logits, "probability": 1 / (1 + np.exp(-logits))})
    write_csv(files.predictions, pd.concat([first, scores, others], axis=1))
    write_json(files.metrics, metrics)
    note_checksums(files)
    return files


def note_checksums(files: RunDir) -> None:
    """Note the checksums of the files of a run as they are now."""
    results = (files.config, files.data, files.history, files.predictions, files.metrics)
    checksums = {path.name: checksum(path.read_bytes()) for path in results}
    write_checked_json(files.status, {"state": "done", "checksums": checksums})


def make_logits(images: pd.DataFrame, seed: int, worse: Any = 0.0) -> Any:
    """Return logits on which every run finds the same images hard; ``worse`` is taken from the positive ones."""
    hardness = np.random.default_rng(0).standard_normal(len(images))
    noise = np.random.default_rng([seed, 1]).standard_normal(len(images))
    positive = images["label"].to_numpy() == 1
    return np.round(3 * positive - 1.5 + hardness + 0.3 * noise - np.where(positive, worse, 0), 6)

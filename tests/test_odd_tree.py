"""A report on a thousand runs of which a hundred are odd: written in little time, 900 counted, 100 listed."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cxr_runner.artifacts.altered import checksums_of
from cxr_runner.artifacts.rundir import RunDir
from cxr_runner.base.checked_json import write_checked_json
from cxr_runner.config.compose import compose
from cxr_runner.config.identity import run_id_of_dict, to_dict
from cxr_runner.report.collect.agreement import recompute
from installed import installed
from run_trees import PHANTOM, history, run_metrics, write_run
from test_odd_files import BOMB, replace_by

NUM_RUNS, NUM_ODD = 1000, 100
NUM_IMAGES = 400  # with predictions, of both splits


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def _duplicate_key(files: RunDir) -> None:
    _edit(files.metrics, '"val": {', '"collapsed": true, "val": {')


def _cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-70])


# What may have become of a run.
ODD: dict[str, Callable[[RunDir], object]] = {
    "an alias bomb": lambda files: files.config.write_text(BOMB),
    "an alias of itself": lambda files: files.config.write_text("a: &a [*a]"),
    "deep nesting": lambda files: files.config.write_text("[" * 100_000),
    "a pipe for a status": lambda files: replace_by("pipe", files.status),
    "a pipe for metrics": lambda files: replace_by("pipe", files.metrics),
    "a pipe for a configuration": lambda files: replace_by("pipe", files.config),
    "a status of 30 GB": lambda files: replace_by("sparse", files.status),
    "metrics of 30 GB": lambda files: replace_by("sparse", files.metrics),
    "a folder for a status": lambda files: replace_by("folder", files.status),
    "a folder for data": lambda files: replace_by("folder", files.data),
    "/dev/zero for a status": lambda files: replace_by("device", files.status),
    "/dev/zero for metrics": lambda files: replace_by("device", files.metrics),
    "altered metrics": lambda files: _edit(files.metrics, '"accuracy": 0.', '"accuracy": 0.1'),
    "an impossible accuracy": lambda files: _edit(files.metrics, '"accuracy": 0.', '"accuracy": 7.'),
    "a key that stands twice": _duplicate_key,
    "truncated predictions": lambda files: _cut_off(files.predictions),
    "a truncated history": lambda files: _cut_off(files.history),
    "an empty status": lambda files: files.status.write_bytes(b""),
    "a status that says failed": lambda files: write_checked_json(
        files.status, {"state": "failed", "error": "\x1b<b>"}
    ),
    "garbage": lambda files: files.metrics.write_bytes(os.urandom(10_000)),
}


def _write_whole(outputs: Path, seed: int, name: str, config: dict[str, object]) -> RunDir:
    """Write a finished run as of today: with predictions, metrics that they give, checksums, and its id."""
    config = config | {"seed": seed}
    run_id = run_id_of_dict(config, PHANTOM["fingerprint"], "cpu", "pixel", "")
    files = write_run(outputs, name, run_id, seed, config=config)
    rng = np.random.default_rng(seed)
    labels = np.arange(NUM_IMAGES) % 4 > 0
    logits = np.round(3 * labels - 1 + rng.standard_normal(NUM_IMAGES), 6)
    splits = np.where(np.arange(NUM_IMAGES) < NUM_IMAGES // 2, "val", "test")
    lines = [
        f"{split},{index}.png,{label:d},{logit},{1 / (1 + np.exp(-logit)):.17g}"
        for index, (split, label, logit) in enumerate(zip(splits, labels, logits, strict=True))
    ]
    files.predictions.write_text("split,name,label,logit,probability\n" + "\n".join(lines) + "\n")
    metrics = run_metrics()
    for split in ("val", "test"):
        mask = splits == split
        metrics[split] |= recompute(labels[mask].astype(np.int64), logits[mask], int(str(config["batch_size"])))
    files.metrics.write_text(json.dumps(metrics, indent=2))
    history(10).to_csv(files.history, index=False)
    write_checked_json(files.status, {"state": "done", "checksums": checksums_of(files.results)})
    return files


def write_tree(outputs: Path) -> list[str]:
    """Write the runs; return which oddity each odd one has."""
    kinds = []
    models = [to_dict(compose([f"model={model}"])[0]) for model in ("linear", "linear_relu", "cnn")]
    configs = [
        (f"{config['model']['name']}_{lr}", config | {"optimizer": config["optimizer"] | {"lr": lr}})
        for config in models
        for lr in (1e-4, 1e-3, 1e-2)
    ] + [("linear", models[0])]
    for number in range(NUM_RUNS):
        name, config = configs[number // (NUM_RUNS // len(configs))]
        files = _write_whole(outputs, number % (NUM_RUNS // len(configs)), name, config)
        if number % (NUM_RUNS // NUM_ODD) == 3:
            kind = list(ODD)[len(kinds) % len(ODD)]
            ODD[kind](files)
            kinds.append(kind)
    return kinds


@pytest.mark.long
def test_a_report_on_a_thousand_runs_of_which_a_hundred_are_odd_is_written(tmp_path: Path) -> None:
    kinds = write_tree(tmp_path / "outputs")
    assert len(kinds) == NUM_ODD
    begin = time.perf_counter()
    answer = subprocess.run(
        [installed("cxr-report"), tmp_path / "outputs"], capture_output=True, text=True, timeout=600
    )
    seconds = time.perf_counter() - begin
    assert (answer.returncode, answer.stderr) == (0, ""), answer.stderr
    page = (tmp_path / "outputs" / "report" / "report.md").read_text("utf-8")
    listed = [line for line in page.partition("## Runs left out")[2].splitlines() if line.startswith("| ")][2:]
    counted = (tmp_path / "outputs" / "report" / "tables" / "runs.csv").read_text("utf-8").count("\n") - 1
    print(f"report on {NUM_RUNS} runs, {len(listed)} of them left out, {counted} counted: {seconds:.1f} s")
    print(*sorted({line.split(" | ", 1)[1] for line in listed}), sep="\n")
    assert (counted, len(listed)) == (NUM_RUNS - NUM_ODD, NUM_ODD)
    assert all(len(line.split(" | ")) == 3 and line.split(" | ")[2].strip("| ") for line in listed)

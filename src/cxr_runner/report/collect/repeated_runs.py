"""Which runs repeat one another: one configuration with other seeds, and on other splits of the same images."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cxr_runner.artifacts.rundir import Run
from cxr_runner.base.checksums import digest
from cxr_runner.base.markdown import printable
from cxr_runner.config.identity import device_type_of, run_id_of_dict
from cxr_runner.report.collected_runs import RunSplit

_PROTOCOL = ("strategy", "folds", "val_share", "given_test")  # what makes two splits comparable, whatever their seeds


class SourceImages(NamedTuple):
    """Which images a run was trained on: runs of the same ones stand below one heading.

    Attributes:
        source: fingerprint of the images and labels before they were resized and split; of runs that do not know it,
            that of images, labels and splits.
        size: side of the images in pixels.
    """

    source: str
    size: int


def read_split(run: Run) -> RunSplit:
    """Return how the images of a run were divided; what an older run does not say is taken from its configuration."""
    said = _said(run)
    return RunSplit(
        seed=_whole(said.get("seed")) or 0,
        folds=_whole(said.get("folds")),
        fold=_whole(said.get("fold")) if _whole(said.get("folds")) else None,
        fingerprint=str(said.get("whole") or run.data.get("fingerprint")),
    )


def sort_by_images(runs: Sequence[Run]) -> list[SourceImages]:
    """Return the images of every run, in order.

    Runs from before the source had a fingerprint of its own are put to others with the same images, labels and splits.
    """
    sources = {str(run.data.get("fingerprint")): source for run in runs if (source := _source(run))}
    known = (sources.get(fingerprint := str(run.data.get("fingerprint")), fingerprint) for run in runs)
    return [SourceImages(source, _size(run)) for source, run in zip(known, runs, strict=True)]


def name_configurations(runs: Sequence[Run], images: SourceImages) -> list[str]:
    """Return the name of the configuration of every run on the same images at one size.

    That of runs on one split is the name of their directory; that of runs on several ends in an id of its own.
    """
    # Of runs with one id, an older one does not know its source: what a newer one says is of both, in any order.
    shared = {run.id: _shared_id(run, images) for run in sorted(runs, key=lambda run: bool(_source(run)))}
    ids: dict[tuple[str, str], set[str]] = {}
    for run in runs:
        ids.setdefault((run.name, shared[run.id]), set()).add(run.id)
    return [
        printable(f"{run.name}-{run.id if len(ids[run.name, shared[run.id]]) == 1 else shared[run.id]}") for run in runs
    ]


def _shared_id(run: Run, images: SourceImages) -> str:
    """Return the id of what a run is but for its seed and its split; its own id where that cannot be told."""
    if not _source(run):
        return run.id
    said = _said(run)
    protocol = {key: said.get(key) for key in _PROTOCOL}
    if "train_share" in said:  # of all training images it never stood there
        protocol["train_share"] = said["train_share"]
    identity = json.dumps([*images, protocol], sort_keys=True, default=str)
    device = device_type_of(run.metrics)
    weights = str(run.config["model"].get("weights") or "")
    return run_id_of_dict(run.config, digest(identity, 16), device, run.metrics["engine"], weights)


def _said(run: Run) -> Mapping[str, Any]:
    """Return what a run says of its split."""
    said = run.data.get("split")
    if isinstance(said, Mapping):
        return said
    data = run.config.get("data")
    configured = data.get("split") if isinstance(data, Mapping) else None
    return configured if isinstance(configured, Mapping) else {}


def _source(run: Run) -> str:
    prints = run.data.get("fingerprints")
    source = prints.get("source") if isinstance(prints, Mapping) else None
    return source if isinstance(source, str) else ""


def _size(run: Run) -> int:
    size = _whole(run.config["data"].get("image_size"))
    assert size is not None, "runs without a size are left out before"
    return size


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None

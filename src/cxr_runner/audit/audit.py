"""The audit of a data set as one object, from its images to its findings."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_runner.artifacts.rundir import AUDIT_FORMAT
from cxr_runner.audit.class_columns import ClassColumn, count_columns
from cxr_runner.audit.duplicates import Duplicates, collect_duplicates
from cxr_runner.audit.findings import Finding, Storage, list_findings
from cxr_runner.audit.images import AuditedData
from cxr_runner.audit.measurements import Measurements, measure
from cxr_runner.audit.overlaps import Overlaps, find_overlaps
from cxr_runner.audit.shortcuts import Shortcuts, train_baselines
from cxr_runner.audit.sizes import Sizes, compare_sizes
from cxr_runner.base.progress import Reporter
from cxr_runner.data.quality.class_differences import differing_attributes
from cxr_runner.data.quality.polarity import find_inverted


@dataclass(frozen=True)
class Audit:
    """The result of an audit; as JSON it is ``audit.json``.

    Attributes:
        fingerprint: fingerprint of the data set of a run; that of the store where no run can be trained.
        data: what ``data.json`` of a run says of the images; empty where no run can be trained.
        config: configuration of the data.
        counts: number of images of each class, by split; ``all`` where there are no splits.
        unreadable: reason why an image cannot be read, by its name.
        sizes: sizes of the images in their source.
        duplicates: identical and nearly identical images.
        patients: patients across splits; None where there are no splits.
        shortcuts: shortcut baselines; None where there are no splits.
        inventory: what was read and passed over, see :mod:`cxr_runner.data.inventory`; without splits, all images
            count as ``train``.
        inverted: names of the images that are inverted against the rest; None where that cannot be told.
        differences: attributes by which the classes differ, each a phrase.
        subgroups: the columns of ``data.subgroups`` by class; empty where there are none or no run can be trained.
        findings: what to know and what to do.
        format: version of the file's format.
    """

    fingerprint: str
    data: dict[str, Any]
    config: dict[str, Any]
    counts: dict[str, dict[str, int]]
    unreadable: dict[str, str]
    sizes: Sizes
    duplicates: Duplicates
    patients: Overlaps | None
    shortcuts: Shortcuts | None
    inventory: dict[str, Any]
    inverted: tuple[str, ...] | None
    differences: tuple[str, ...]
    subgroups: tuple[ClassColumn, ...]
    findings: tuple[Finding, ...]
    format: int = AUDIT_FORMAT


def audit_images(audited: AuditedData, reporter: Reporter) -> Audit:
    """Audit a data set.

    Args:
        audited: the opened data set.
        reporter: shows the progress.
    """
    dataset = audited.dataset
    rows = (dataset.table if dataset else audited.readable).index.to_numpy(np.int64)
    measured = measure(audited.store.images, rows, audited.store.derived, reporter)
    sizes = compare_sizes(audited.readable, audited.class_names)
    duplicates = collect_duplicates(audited, rows, measured.thumbnails.hashes)
    patients = shortcuts = None
    if dataset:
        patients = find_overlaps(dataset, audited.config.split.seed)
        shortcuts = _shortcuts(audited, rows, measured, patients, reporter)
    seen = audited.readable.loc[rows]
    mask = find_inverted(measured.thumbnails.small)
    inverted = None if mask is None else tuple(seen["name"][mask])
    differences = tuple(differing_attributes(seen, audited.class_names, mask))
    stored = Storage(differences, inverted)
    subgroups = count_columns(dataset) if dataset else ()
    return Audit(
        fingerprint=dataset.fingerprint if dataset else audited.store.path.name.split("-")[0],
        data=dataset.describe() if dataset else {},
        config=asdict(audited.config),
        counts=_counts(audited),
        unreadable=dict(audited.unreadable[["name", "error"]].itertuples(index=False, name=None)),
        sizes=sizes,
        duplicates=duplicates,
        patients=patients,
        shortcuts=shortcuts,
        inventory=dataset.inventory if dataset else audited.inventory(),
        inverted=inverted,
        differences=differences,
        subgroups=subgroups,
        findings=tuple(list_findings(audited, stored, sizes, duplicates, patients, shortcuts, subgroups)),
    )


def _shortcuts(
    audited: AuditedData, rows: NDArray[np.int64], measured: Measurements, patients: Overlaps, reporter: Reporter
) -> Shortcuts:
    dataset = audited.dataset
    assert dataset is not None
    of_images = None if patients.unknown else dataset.table["patient"].tolist()
    sizes = audited.readable.loc[rows, ["width", "height"]]
    return train_baselines(dataset, sizes, measured, of_images, audited.config.split.seed, reporter)


def _counts(audited: AuditedData) -> dict[str, dict[str, int]]:
    if audited.dataset:
        counts: dict[str, dict[str, int]] = audited.dataset.describe()["counts"]
        return counts
    labels = audited.readable["label"]
    return {"all": {name: int((labels == label).sum()) for label, name in enumerate(audited.class_names)}}

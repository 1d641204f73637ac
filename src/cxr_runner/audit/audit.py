"""The audit of a data set as one object, from its images to its findings."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_runner.artifacts.rundir import AUDIT_FORMAT
from cxr_runner.audit.duplicates import Duplicates, find_duplicates
from cxr_runner.audit.findings import Finding, find
from cxr_runner.audit.images import Material
from cxr_runner.audit.measurements import Measurements, Sizes, compare_sizes, measure
from cxr_runner.audit.patients import Patients, find_patients
from cxr_runner.audit.shortcuts import Shortcuts, find_shortcuts
from cxr_runner.base.progress import Reporter
from cxr_runner.data.splits import patient_keys


@dataclass(frozen=True)
class Audit:
    """All that was found; as JSON it is ``audit.json``.

    Attributes:
        fingerprint: of the data set as a run has it; of the store where no run can be trained.
        data: what ``data.json`` of a run says of the images; empty where no run can be trained.
        config: the configuration of the data.
        counts: images of every class, by split; ``all`` where there are no splits.
        unreadable: by the name of an image why it cannot be read.
        sizes: of the images as their source gives them.
        duplicates: identical and nearly identical images.
        patients: across splits; None where there are no splits.
        shortcuts: the trivial baselines; None where there are no splits.
        findings: what to know and what to do.
        format: of the file.
    """

    fingerprint: str
    data: dict[str, Any]
    config: dict[str, Any]
    counts: dict[str, dict[str, int]]
    unreadable: dict[str, str]
    sizes: Sizes
    duplicates: Duplicates
    patients: Patients | None
    shortcuts: Shortcuts | None
    findings: tuple[Finding, ...]
    format: int = AUDIT_FORMAT


def audit(material: Material, reporter: Reporter) -> Audit:
    """Audit a data set.

    Args:
        material: the images.
        reporter: shown the progress.
    """
    dataset = material.dataset
    rows = (dataset.table if dataset else material.readable).index.to_numpy(np.int64)
    measured = measure(material.store.images, rows, reporter)
    sizes = compare_sizes(material.readable, material.class_names)
    duplicates = find_duplicates(material, rows, measured.hashes)
    patients = shortcuts = None
    if dataset:
        patients = find_patients(dataset, material.config.patient_pattern, material.config.split.seed)
        shortcuts = _shortcuts(material, rows, measured, patients, reporter)
    return Audit(
        fingerprint=dataset.fingerprint if dataset else material.store.path.name.split("-")[0],
        data=dataset.describe() if dataset else {},
        config=asdict(material.config),
        counts=_counts(material),
        unreadable=dict(material.unreadable[["name", "error"]].itertuples(index=False, name=None)),
        sizes=sizes,
        duplicates=duplicates,
        patients=patients,
        shortcuts=shortcuts,
        findings=tuple(find(material, sizes, duplicates, patients, shortcuts)),
    )


def _shortcuts(
    material: Material, rows: NDArray[np.int64], measured: Measurements, patients: Patients, reporter: Reporter
) -> Shortcuts:
    dataset, config = material.dataset, material.config
    assert dataset is not None
    keys = None if patients.unknown else patient_keys(dataset.table["name"].tolist(), config.patient_pattern)
    sizes = material.readable.loc[rows, ["width", "height"]]
    return find_shortcuts(dataset, sizes, measured, keys, config.split.seed, reporter)


def _counts(material: Material) -> dict[str, dict[str, int]]:
    if material.dataset:
        counts: dict[str, dict[str, int]] = material.dataset.describe()["counts"]
        return counts
    labels = material.readable["label"]
    return {"all": {name: int((labels == label).sum()) for label, name in enumerate(material.class_names)}}

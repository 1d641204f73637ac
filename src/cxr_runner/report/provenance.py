"""Where a cohort's images and runs come from: data, engine, machine, versions, commands."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from cxr_runner.base.markdown import printable
from cxr_runner.base.numbers import plural
from cxr_runner.report.runs.groups import Cohort, class_counts

_VERSIONS = ("python", "cxr-runner", "torch", "torchvision", "numpy")
_NOT_RECORDED = "not recorded"


def gather_facts(cohort: Cohort) -> dict[str, str]:
    """Return terms and what is to be said of each for a cohort: one line each, but a command a line."""
    data, runs = cohort.facts, [run for data_set in cohort.data_sets for run in data_set.runs]
    tables = pd.concat([data_set.table for data_set in cohort.data_sets])
    counts = class_counts(data)
    found = {
        "Images": cohort.heading,
        "Citation": cohort.about.citation or "not given",
        "Licence": cohort.about.licence or "not given",
        "Counts": "; ".join(
            f"{split} " + ", ".join(f"{n:,} {name}" for name, n in classes.items()) for split, classes in counts.items()
        ),
        "Duplicates dropped": _length(data.get("duplicates_dropped")),
        "Unreadable, skipped": _length(data.get("unreadable_skipped")),
        "Fingerprint": ", ".join(f"{data_set.fingerprint} ({data_set.image_size} px)" for data_set in cohort.data_sets),
        "Engine and device": _distinct(f"{e} on {d}" for e, d in zip(tables["engine"], tables["device"], strict=True)),
        "Machine": _machines(run.metrics.get("machine") for run in runs),
        "Versions": _distinct(_versions(run.metrics.get("versions")) for run in runs),
        "Commit": _distinct(str(run.metrics.get("git_commit") or "") for run in runs),
    }
    facts = {term: printable(said) for term, said in found.items() if said}
    return facts | ({"Command": "\n".join(cohort.commands)} if cohort.commands else {})


def _length(listed: object) -> str:
    return str(len(listed)) if isinstance(listed, Sequence) and not isinstance(listed, str) else ""


def _machines(machines: Iterable[object]) -> str:
    """Name the machines that runs were trained on, with the number of runs where there are several."""
    counts = Counter(_machine(machine) or _NOT_RECORDED for machine in machines)
    ordered = sorted(counts, key=lambda said: (said == _NOT_RECORDED, -counts[said], said))
    return "; ".join(f"{said} ({plural(counts[said], 'run')})" if len(counts) > 1 else said for said in ordered)


def _machine(machine: object) -> str:
    """Return a machine in words, without what is not as :func:`cxr_runner.base.machine.describe_machine` writes it."""
    if not isinstance(machine, Mapping):
        return ""
    cores, memory = _count(machine.get("cores")), _count(machine.get("memory"))
    cpu, system = (printable(text) if isinstance(text := machine.get(key), str) else "" for key in ("cpu", "system"))
    said = [cpu, plural(cores, "core") if cores else "", f"{memory / 2**30:.1f} GiB" if memory else "", system]
    return ", ".join(filter(None, said))


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63 else 0


def _versions(versions: object) -> str:
    if not isinstance(versions, Mapping):
        return ""
    return ", ".join(f"{name} {versions[name]}" for name in _VERSIONS if name in versions)


def _distinct(texts: Any) -> str:
    return "; ".join(dict.fromkeys(text for text in sorted(texts) if text))

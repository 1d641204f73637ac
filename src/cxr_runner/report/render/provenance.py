"""Where the images and runs of a data set come from: data, engine, machine, versions, commands."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cxr_runner.artifacts.inventory_line import inventory_line
from cxr_runner.base.markdown import printable
from cxr_runner.base.numbers import plural
from cxr_runner.report.class_counts import class_counts
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.collected_runs import SizedRuns
from cxr_runner.report.render.commands import Commands

_VERSIONS = ("python", "cxr-runner", "torch", "torchvision", "numpy")
_NOT_RECORDED = "not recorded"


def gather_facts(runs: DataSetRuns, commands: Commands) -> dict[str, str]:
    """Return terms and what is to be said of each for a data set: one line each, but a command a line."""
    data, metrics = runs.facts, [run.metrics for run in runs.runs.values()]
    counts = class_counts(data)
    said = {
        "Images": runs.heading,
        "Citation": runs.about.citation or _how_to_give("citation", runs.data_config),
        "Licence": runs.about.licence or "not given",
        "Counts": "; ".join(
            f"{split} " + ", ".join(f"{n:,} {name}" for name, n in classes.items()) for split, classes in counts.items()
        ),
        "Inventory": inventory_of_runs(runs),
        "Duplicates dropped": _length(data.get("duplicates_dropped")),
        "Unreadable, skipped": _length(data.get("unreadable_skipped")),
        "Fingerprint": ", ".join(f"{_fingerprint(sized)} ({sized.image_size} px)" for sized in runs.sizes),
        "Checksums": _checksums(runs),
        "Engine and device": _distinct(map(_computed_by, metrics)),
        "Machine": _machines(of_run.get("machine") for of_run in metrics),
        "Versions": _distinct(_versions(of_run.get("versions")) for of_run in metrics),
        "Commit": _distinct(str(of_run.get("git_commit") or "") for of_run in metrics),
        "Left out on request": runs.withheld.words,
    }
    facts = {term: printable(text) for term, text in said.items() if text}
    trained = commands.that_trained()
    return facts | ({"Command": "\n".join(trained)} if trained else {})


def _computed_by(metrics: Mapping[str, Any]) -> str:
    kernels = f", {metrics['kernels']} kernels" if isinstance(metrics.get("kernels"), str) else ""
    return f"{metrics['engine']} on {metrics['device']}{kernels}"


def _how_to_give(key: str, config: Mapping[str, Any]) -> str:
    """Say that something is not given, and how it would be where that is possible."""
    return f"not given; data.{key}=... gives it" if key in config else "not given"


def _fingerprint(sized: SizedRuns) -> str:
    """Return the fingerprint of images, labels and splits; that of the images alone where there are several splits."""
    several = len(sized.fingerprints) > 1
    return f"{sized.source}, {len(sized.fingerprints)} splits" if several else sized.fingerprints[0]


def _length(listed: object) -> str:
    return str(len(listed)) if isinstance(listed, Sequence) and not isinstance(listed, str) else ""


def _checksums(runs: DataSetRuns) -> str:
    """Say how many runs are from before there were checksums; what is in them cannot be verified."""
    num_runs, num_without = len(runs.runs), sum(not run.has_checksums for run in runs.runs.values())
    return f"none for {num_without} of {plural(num_runs, 'run')}" if num_without else "verified for all runs"


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


def inventory_of_runs(runs: DataSetRuns) -> str:
    """Return what the first of the runs that say so found in the source; older ones do not.

    Those on a share of the training images come last: what they say is of that share.
    """
    ordered = sorted(runs.runs.values(), key=lambda run: "train_share" in str(run.data.get("split")))
    lines = (inventory_line(run.data.get("inventory")) for run in ordered)
    return next(filter(None, lines), "")

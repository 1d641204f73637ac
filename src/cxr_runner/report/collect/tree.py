"""Collects an outputs tree: runs by their images, histories, predictions, samples, audits, evaluations, searches."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cxr_runner.artifacts.evaluation_file import read_evaluations
from cxr_runner.artifacts.samples import Sample, read_samples, samples_path
from cxr_runner.artifacts.search_file import read_searches
from cxr_runner.base.checked_json import read_checked_json
from cxr_runner.base.progress import Reporter
from cxr_runner.report.collect.histories import add_histories
from cxr_runner.report.collect.predictions import add_predictions
from cxr_runner.report.collect.run_table import read_runs
from cxr_runner.report.collected import Collected, DataSetRuns, describe_images
from cxr_runner.report.collected_runs import SizedRuns
from cxr_runner.study import Study


def collect(root: Path, study: Study, reporter: Reporter, select: Sequence[str] = ()) -> Collected:
    """Read all that a report is made from.

    Args:
        root: folder that holds run directories, at any depth.
        study: study whose rows runs may repeat.
        reporter: shown the progress.
        select: settings that runs must have.

    Raises:
        UserError: there is no such folder, no run in it, or none with these settings.
    """
    data_sets, left_out = collect_runs(root, study, reporter, select)
    with_histories = add_histories(data_sets, reporter)
    whole = [replace(add_predictions(runs, reporter), samples=tuple(collect_samples(runs))) for runs in with_histories]
    return Collected(
        study,
        tuple(whole),
        left_out,
        audits=tuple(_collect_audits(root)),
        evaluations=tuple(read_evaluations(root)),
        searches=tuple(read_searches(root)),
    )


def collect_runs(
    root: Path, study: Study, reporter: Reporter, select: Sequence[str] = ()
) -> tuple[list[DataSetRuns], Any]:
    """Read configurations and metrics alone: what tables of runs need.

    Args:
        root: outputs tree, a folder of one, or one run directory.
        study: study whose rows runs may repeat.
        reporter: shown the progress.
        select: settings that runs must have.

    Returns:
        The runs on every data set, and the table of runs left out.

    Raises:
        UserError: there is no such folder, or no run in it.
    """
    sizes, left_out = read_runs(root, study, reporter, select)
    return group_by_images(sizes, study), left_out


def collect_samples(runs: DataSetRuns) -> list[Sample]:
    """Read the samples that lie beside the runs, those of the largest images; none where there are none."""
    for sized in runs.sizes:
        directories = [run.directory for run in sized.runs if len(run.directory.parents) > 2]
        for tree in dict.fromkeys(directory.parents[2] for directory in directories):
            for fingerprint in filter(str.isalnum, sized.fingerprints):
                if samples := read_samples(samples_path(tree, fingerprint)):
                    return samples
    return []


def _collect_audits(root: Path) -> Iterator[dict[str, Any]]:
    """Yield the audits that can be read and have not changed since they were written, as far as can be told."""
    for path in sorted(root.rglob("audits/*/audit.json")):
        content, intact = read_checked_json(path)
        if content and intact is not False:
            yield content


def group_by_images(sizes: Sequence[SizedRuns], study: Study) -> list[DataSetRuns]:
    """Put runs together that are on the same images at different sizes, in the order of their titles."""
    groups: dict[str, list[SizedRuns]] = {}
    for sized in sizes:
        groups.setdefault(_images(sized), []).append(sized)
    data_sets = []
    for group in groups.values():
        ordered = sorted(group, key=lambda sized: -sized.image_size)
        if len({sized.image_size for sized in ordered}) == len(ordered):
            data_sets.append(DataSetRuns(study, tuple(ordered)))
        else:  # equal settings, yet other images: they have changed in the meantime
            data_sets += [DataSetRuns(study, (sized,)) for sized in ordered]
    return data_sets


def _images(sized: SizedRuns) -> str:
    """Tell the images apart from their size: by the fingerprint of their source, of older runs by their description."""
    run = sized.runs[0]
    return describe_images(run.data, run.config["data"]) if sized.source in sized.fingerprints else sized.source

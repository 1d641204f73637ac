"""Takes out of a report, on request, the names of images and patients, and the images themselves.

This is done between comparing and rendering: the numbers are those of the whole report, and what writes files never
sees a name. Of what runs say, that is kept which cannot hold any; a text that may hold one goes as a whole, because no
list of names is complete: a run knows those of its own images only, and an error names others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from cxr_runner.artifacts.explanation_file import StoredExplanation
from cxr_runner.artifacts.samples import Sample
from cxr_runner.report.collected import Collected, DataSetRuns, Predictions, Withheld
from cxr_runner.report.collected_runs import CollectedRun, SizedRuns
from cxr_runner.report.compare.comparison import DataSetComparison
from cxr_runner.report.render.commands import data_defaults

_NAMELESS = (  # of data.json; the warnings are sentences without names
    *("title", "citation", "licence", "synthetic", "fingerprint", "fingerprints"),
    *("num_images", "positive_class", "counts", "warnings"),
)
_LISTS = ("duplicates_dropped", "unreadable_skipped")  # of which only the lengths are told
_CHOICES = ("name", "strategy", "duplicates", "on_bad_image")  # settings of the data whose texts are ours
HIDDEN = "HIDDEN"  # in place of a setting that may hold a name
_REASONS = {  # of runs left out whose own words may name images
    "failed": "its status.json says why, which may name images",
    "interrupted": "interrupted",
    "pruned": "ended early by a search",
    "running": "not finished",
}


def withhold(
    collected: Collected, compared: Sequence[DataSetComparison], withheld: Withheld
) -> tuple[Collected, list[DataSetComparison]]:
    """Return what was collected and compared without what is to be withheld.

    Args:
        collected: what the report is made from.
        compared: what it comes to, for every data set.
        withheld: what no file of the report may hold.
    """
    data_sets = tuple(_without(runs, withheld) for runs in collected.data_sets)
    left_out = nameless_reasons(collected.left_out) if withheld.names else collected.left_out
    comparisons = [
        replace(
            one,
            runs=runs,
            thumbnails={} if withheld.images else one.thumbnails,
            explanations={label: _without_images(found, withheld) for label, found in one.explanations.items()},
        )
        for one, runs in zip(compared, data_sets, strict=True)
    ]
    searches = tuple(map(_nameless_search, collected.searches)) if withheld.names else collected.searches
    return replace(collected, data_sets=data_sets, left_out=left_out, audits=(), searches=searches), comparisons


def _without_images(explanation: StoredExplanation, withheld: Withheld) -> StoredExplanation:
    """Return an explanation without images where they, or the names that are drawn beside them, are to be withheld."""
    named = withheld.names and not explanation.content["names_hidden"]
    return explanation.without_images() if withheld.images or named else explanation


def _without(runs: DataSetRuns, withheld: Withheld) -> DataSetRuns:
    runs = replace(runs, withheld=withheld)
    if withheld.images:
        runs = replace(runs, samples=())
    if not withheld.names:
        return runs
    samples = tuple(_nameless_sample(sample, number) for number, sample in enumerate(runs.samples, 1))
    sizes = tuple(map(_nameless_size, runs.sizes))
    return replace(runs, sizes=sizes, samples=samples, predictions=_nameless_predictions(runs.predictions))


def _nameless_sample(sample: Sample, number: int) -> Sample:
    return replace(sample, name=f"image {number}")


def _nameless_size(sized: SizedRuns) -> SizedRuns:
    runs, diverged = (tuple(map(_nameless_run, some)) for some in (sized.runs, sized.diverged))
    return replace(sized, runs=runs, diverged=diverged)


def _nameless_predictions(predictions: Predictions) -> Predictions:
    patients = predictions.patients
    if patients is not None:
        patients = tuple(f"patient {code + 1}" for code in pd.factorize(pd.Series(patients, dtype=object))[0])
    # An error of a parser may quote what it could not read.
    problems = dict.fromkeys(predictions.problems, "predictions.csv is not as it should be")
    names = tuple(f"image {number}" for number in range(1, len(predictions.names) + 1))
    return replace(predictions, names=names, patients=patients, problems=problems)


def _nameless_run(run: CollectedRun) -> CollectedRun:
    return replace(
        run,
        config={**run.config, "data": nameless_settings(run.config.get("data"))},
        data=_nameless_data(run.data),
        history_problem="history.csv is not one that can be drawn" if run.history_problem else "",
        predictions=None,
    )


def nameless_settings(config: object) -> dict[str, Any]:
    """Return the settings of images without the texts that somebody wrote: a pattern or a condition may name images."""
    settings = config if isinstance(config, Mapping) else {}
    return {key: _setting(key, value, data_defaults(settings.get("name")).get(key)) for key, value in settings.items()}


def _setting(key: str, value: object, usual: object) -> object:
    if isinstance(value, Mapping):
        inner = usual if isinstance(usual, Mapping) else {}
        return {name: _setting(name, one, inner.get(name)) for name, one in value.items()}
    safe = value is None or isinstance(value, bool | int | float) or key in _CHOICES or value == usual
    return value if safe else HIDDEN


def _nameless_data(data: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: data[key] for key in _NAMELESS if key in data}
    kept |= {key: [None] * len(data[key]) for key in _LISTS if isinstance(data.get(key), list)}
    return kept | {"inventory": _nameless_inventory(data.get("inventory"))}


def _nameless_inventory(inventory: object) -> dict[str, Any] | None:
    """Return an inventory without folders, and with one number for all that was passed over.

    What follows the last dot of a file's name may be a part of somebody's.
    """
    if not isinstance(inventory, Mapping):
        return None
    listed = inventory.get("passed_over")
    numbers = [entry.get("files") for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []
    total = sum(number for number in numbers if isinstance(number, int))
    classes = inventory.get("classes")
    kept = [
        {key: entry.get(key) for key in ("class", "split", "images", "formats", "bits")}
        for entry in (classes if isinstance(classes, list) else ())
        if isinstance(entry, Mapping)
    ]
    return {"classes": kept, "bits": inventory.get("bits"), "passed_over": [{"files": total}]}


def nameless_reasons(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of runs left out, with reasons that name no images."""
    rows = [_nameless_reason(*row) for row in table[["path", "state", "reason"]].itertuples(index=False)]
    return pd.DataFrame(rows, columns=table.columns)


def _nameless_search(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a search without what an error of a failed trial says."""
    trials = [
        {**trial, "reason": _REASONS["failed"] if trial["state"] == "failed" else trial["reason"]}
        for trial in content["trials"]
    ]
    return {**content, "trials": trials}


def _nameless_reason(path: str, state: str, reason: str) -> tuple[str, str, str]:
    if state in _REASONS:
        return path, state, _REASONS[state]
    if state == "altered":  # in brackets may stand what a parser quotes
        return path, state, reason.partition(" (")[0]
    return path, state if state == "done" else "unknown", reason

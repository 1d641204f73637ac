"""What is proven to be wrong or doubtful with the images that the runs were trained and tested on."""

from collections.abc import Iterator, Mapping
from typing import Any

from cxr_runner.base.markdown import printable
from cxr_runner.report.collected import DataSetRuns


def data_warnings(runs: DataSetRuns) -> tuple[str, ...]:
    """Return what the runs on a data set say against its images: the sentences of all of them, in order, each once.

    Runs from before these were looked for say nothing, which is no proof that nothing is wrong. Of learning curves the
    runs on all training images are asked: on fewer there is less of the same.
    """
    shares = [_train_share(run.data) for run in runs.runs.values()]
    asked = [run for run, share in zip(runs.runs.values(), shares, strict=True) if share == max(shares)]
    said = (sentence for run in asked for sentence in _sentences(run.data.get("warnings")))
    return tuple(dict.fromkeys(said))


def _train_share(data: Mapping[str, Any]) -> float:
    """Return the share of the training images that a run says it was trained on; 1 where it says nothing."""
    split = data.get("split")
    share = split.get("train_share") if isinstance(split, Mapping) else None
    return share if isinstance(share, float) else 1.0


def _sentences(listed: object) -> Iterator[str]:
    """Yield the sentences of an entry of ``data.json``, which may be anything."""
    for sentence in listed if isinstance(listed, list) else ():
        if isinstance(sentence, str) and (said := printable(sentence)):
            yield said

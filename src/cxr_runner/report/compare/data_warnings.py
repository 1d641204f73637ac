"""What is proven to be wrong or doubtful with the images that the runs were trained and tested on."""

from collections.abc import Iterator

from cxr_runner.base.markdown import printable
from cxr_runner.report.collected import DataSetRuns


def data_warnings(runs: DataSetRuns) -> tuple[str, ...]:
    """Return what the runs on a data set say against its images: the sentences of all of them, in order, each once.

    Runs from before these were looked for say nothing, which is no proof that nothing is wrong.
    """
    said = (sentence for run in runs.runs.values() for sentence in _sentences(run.data.get("warnings")))
    return tuple(dict.fromkeys(said))


def _sentences(listed: object) -> Iterator[str]:
    """Yield the sentences of an entry of ``data.json``, which may be anything."""
    for sentence in listed if isinstance(listed, list) else ():
        if isinstance(sentence, str) and (said := printable(sentence)):
            yield said

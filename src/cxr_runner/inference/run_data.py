"""The images that finished runs were trained and tested on, opened again as each run saw them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from cxr_runner.base.errors import UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.config.data_schema import AnyDataConfig
from cxr_runner.config.stored import read_data_config
from cxr_runner.data.dataset import Dataset, open_images, split_images
from cxr_runner.data.image_set import Images

if TYPE_CHECKING:  # it is handed runs, it reads none
    from cxr_runner.inference.loaded_run import LoadedRun


class RunData(NamedTuple):
    """The images of a run, and their splits; runs that share them share the objects."""

    images: Images
    dataset: Dataset


def open_run_data(runs: "Sequence[LoadedRun]", reporter: Reporter) -> list[RunData] | str:
    """Open the images of runs.

    Args:
        runs: runs of one model.
        reporter: shows the progress of decoding them, where they are not in the cache.

    Returns:
        Those of each run; where they are not to be had here, or have changed, the reason.
    """
    opened: dict[AnyDataConfig, RunData] = {}
    found: list[RunData] = []
    try:
        for run in runs:
            config = read_data_config(run.run.config)
            if config not in opened:  # seeds share a split
                known = [one.images for one in opened.values() if are_of(config, one.images)]
                images = known[-1] if known else open_images(config, reporter)
                opened[config] = RunData(images, split_images(images, config, Reporter()))
            found.append(opened[config])
            if found[-1].dataset.fingerprint != run.run.metrics.get("data_fingerprint"):
                return "they have changed since the training"
    except UserError as error:
        return str(error)
    return found


def are_of(config: AnyDataConfig, images: Images) -> bool:
    """Return whether a configuration reads these images, in whatever splits."""
    return replace(config, split=images.config.split) == images.config

"""Draws an explanation into PNG files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxr_runner.artifacts.explanation_file import IMAGES_PICTURE, WEIGHTS_PICTURE, training_picture
from cxr_runner.base.numbers import format_number, plural
from cxr_runner.inference.explain.explanation import LOCAL_MAP, ExplainedImage, Explanation
from cxr_runner.inference.explain.explanation_content import strongest
from cxr_runner.inference.explain.weight_pictures import WeightPictures

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw, and data are opened elsewhere
    from cxr_runner.inference.run_data import RunData
    from cxr_runner.plots.influence_plot import Pushing


def draw_explanation(
    explained: Explanation, content: Mapping[str, Any], data: "Sequence[RunData] | str", folder: Path
) -> None:
    """Write the pictures.

    Args:
        explained: what was explained.
        content: the content of ``explanation.json``, whose names are drawn.
        data: the images of the runs, or why they are not to be had.
        folder: where to.
    """
    from cxr_runner.plots.style import save_figure
    from cxr_runner.plots.weight_plot import plot_weights

    positive, on = content["model"]["class_names"][1], content["model"]["trained_on"]
    runs = plural(len(content["model"]["runs"]), "run")
    if explained.weights:
        panels = _panels(explained.weights)
        save_figure(plot_weights(panels, positive, f"Weights of {runs} on {on}"), folder / WEIGHTS_PICTURE)
    if explained.images:
        _draw_images(explained.images, content, folder / IMAGES_PICTURE)
    if not isinstance(data, str):
        for number, one in enumerate(explained.images):
            if one.influences is not None:
                _draw_influences(one, content["images"][number], content, data, folder)


def _panels(weights: WeightPictures) -> dict[str, NDArray[np.float64]]:
    number = len(weights.maps)
    panels = {"weights" if number == 1 else f"mean of {number} runs": weights.mean}
    if weights.learned is not None:
        panels["without what the first weights leave"] = weights.learned.mean(axis=0)
    if weights.spread is not None and weights.same is not None:
        panels["standard deviation over runs"] = weights.spread
        panels["the same in all runs (t test, 5 %)"] = weights.same
    return panels


def _draw_images(images: Sequence[ExplainedImage], content: Mapping[str, Any], path: Path) -> None:
    from cxr_runner.plots.attribution_plot import AttributionRow, plot_attributions
    from cxr_runner.plots.style import save_figure

    rows = [
        AttributionRow(
            words=_words(entry),
            image=one.asked.square,
            attribution=one.attribution.picture,
            focus=one.focus,
            focus_words="weights that this image meets" if one.focus_kind == LOCAL_MAP else one.focus_kind,
        )
        for one, entry in zip(images, content["images"], strict=True)
    ]
    title = f"What adds up to the logit, from {content['begins_at']}"
    save_figure(plot_attributions(rows, content["model"]["class_names"][1], title), path)


def _words(entry: Mapping[str, Any]) -> str:
    name = str(entry["name"]).rpartition("/")[2]
    truth = f" is {entry['class']}" if entry["class"] else ""
    return f"{name}{truth}\n{entry['why']}: logit {format_number(entry['logit'], '+.2f')}"


def _draw_influences(
    one: ExplainedImage,
    entry: Mapping[str, Any],
    content: Mapping[str, Any],
    data: "Sequence[RunData]",
    folder: Path,
) -> None:
    from cxr_runner.plots.influence_plot import plot_influences
    from cxr_runner.plots.style import save_figure

    up, down = (
        _pushing(rows, one, entry["training"][side], content, data)
        for rows, side in zip(strongest(one), ("up", "down"), strict=True)
    )
    title = f"Training images that push the logit up (above) and down (below), from {content['begins_at']}"
    figure = plot_influences(one.asked.square, _words(entry), up, down, title)
    save_figure(figure, folder / training_picture(entry["number"]))


def _pushing(
    rows: Sequence[int],
    one: ExplainedImage,
    listed: Sequence[Mapping[str, Any]],
    content: Mapping[str, Any],
    data: "Sequence[RunData]",
) -> "list[Pushing]":
    from cxr_runner.plots.influence_plot import Pushing

    assert one.influences is not None
    classes = content["model"]["class_names"]
    return [
        Pushing(_square(str(one.influences.names[row]), data), said["name"], classes[said["label"]], said["push"])
        for row, said in zip(rows, listed, strict=True)
    ]


def _square(name: str, data: "Sequence[RunData]") -> NDArray[np.uint8]:
    """Return the image of a name, uint8 [side, side], from all images: a run may have trained on a share of them."""
    for images in (one.images for one in data):
        if len(rows := images.table.index[images.table["name"] == name]):
            return np.asarray(images.store.images[rows[0]])
    raise KeyError(name)

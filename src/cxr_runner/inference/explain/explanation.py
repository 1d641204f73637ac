"""Explains a model: its weights where it is linear, and for some images what adds up to the logit, and where from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from cxr_runner.base.progress import Reporter
from cxr_runner.inference.explain.asked_images import AskedImage
from cxr_runner.inference.explain.coefficients import GramRun, Influences, mean_influences, open_gram_run
from cxr_runner.inference.explain.mean_image import MeanImage, mean_image
from cxr_runner.inference.explain.network_maps import (
    Attribution,
    Picture,
    PixelMap,
    grad_cam,
    integrated_gradients,
    linear_map,
    local_map,
)
from cxr_runner.inference.explain.weight_pictures import WeightPictures, region_aurocs

if TYPE_CHECKING:  # it is handed a model, it loads none
    from cxr_runner.data.dataset import Dataset
    from cxr_runner.inference.loaded_model import LoadedModel
    from cxr_runner.inference.run_data import RunData

GRAD_CAM, LOCAL_MAP = "Grad-CAM", "local map"
NO_COEFFICIENTS = "the run was not trained in Gram space on its pixels, or kept no gram.safetensors"


@dataclass(frozen=True, eq=False)
class ExplainedImage:
    """One image and why its logit is what it is.

    Attributes:
        asked: the image.
        logit: mean of the runs that were asked.
        attribution: what each pixel adds to the logit of the image that is begun at.
        focus: where a network that is not linear looks; None of one that is.
        focus_kind: what that is, :data:`GRAD_CAM` or :data:`LOCAL_MAP`; '' for nothing.
        influences: the training images behind the logit; None where they are not known.
    """

    asked: AskedImage
    logit: float
    attribution: Attribution
    focus: Picture | None
    focus_kind: str
    influences: Influences | None


@dataclass(frozen=True, eq=False)
class Explanation:
    """What there is to say of a model.

    Attributes:
        weights: the weights of linear networks; None where any is not linear.
        images: the images that were asked about.
        from_mean: whether attributions begin at the mean training image, or at a black one.
        no_influences: why no training images stand behind a prediction; '' where they do.
    """

    weights: WeightPictures | None
    images: tuple[ExplainedImage, ...]
    from_mean: bool
    no_influences: str


@dataclass(frozen=True, eq=False)
class _Member:
    """One network of a model as it is explained; attributions begin at the image ``begin``, float64 [side, side]."""

    network: nn.Module
    begin: Picture
    map: PixelMap | None
    gram: GramRun | None


def explain(
    model: "LoadedModel", asked: Sequence[AskedImage], data: "Sequence[RunData] | str", reporter: Reporter
) -> Explanation:
    """Explain a model.

    Args:
        model: the model, on the CPU.
        asked: images.
        data: the images of its runs, or why these are not to be had.
        reporter: shows the progress.

    Raises:
        UserError: the coefficients of a run cannot be read.
    """
    datasets = [] if isinstance(data, str) else [one.dataset for one in data]
    means = _means(datasets)
    members = [_member(model, number, means, data) for number in range(len(model.members))]
    influences = _influences(members, asked) if all(member.gram for member in members) else [None] * len(asked)
    images = []
    with (reporter if asked else Reporter()).steps("explaining images", len(asked)) as advance:
        for one, behind in zip(asked, influences, strict=True):
            images.append(_explain_image(one, model, [members[number] for number in one.members], behind))
            advance()
    missing = f"the images of the runs: {data}" if isinstance(data, str) else NO_COEFFICIENTS
    why = "" if all(member.gram for member in members) else missing
    return Explanation(_weights(members, means, datasets), tuple(images), bool(means), why)


def _means(datasets: "Sequence[Dataset]") -> list[MeanImage]:
    """Return the mean training image of each run; seeds share one."""
    known = {id(one): one for one in datasets}
    found = {key: mean_image(one.images, one.rows("train")) for key, one in known.items()}
    return [found[id(one)] for one in datasets]


def _member(model: "LoadedModel", number: int, means: Sequence[MeanImage], data: "Sequence[RunData] | str") -> _Member:
    network = model.members[number].network
    begin = means[number].mean if means else np.zeros((model.image_size, model.image_size))
    gram = None
    if not isinstance(data, str):
        gram = open_gram_run(model.parts.runs[number], data[number].dataset, begin)
    return _Member(network, begin, linear_map(network, model.image_size), gram)


def _weights(
    members: Sequence[_Member], means: Sequence[MeanImage], datasets: "Sequence[Dataset]"
) -> WeightPictures | None:
    maps = [one.map.weight for one in members if one.map]
    if len(maps) < len(members):
        return None
    grams = [one.gram for one in members if one.gram]
    learned = (
        np.stack([one.learned() for one in grams]).reshape(-1, *maps[0].shape) if len(grams) == len(maps) else None
    )
    deviation = np.mean([one.deviation for one in means], axis=0) if means else None
    shared = len({id(one) for one in datasets}) == 1
    aurocs = region_aurocs(np.mean(maps, axis=0), datasets[0]) if shared else None
    return WeightPictures(np.stack(maps), learned, deviation, aurocs)


def _influences(members: Sequence[_Member], asked: Sequence[AskedImage]) -> Sequence[Influences | None]:
    """Return the training images behind the logits, of all images at once: each run reads its training images once."""
    found: list[list[Influences]] = [[] for _ in asked]
    for number, member in enumerate(members):
        rows = [row for row, one in enumerate(asked) if number in one.members]
        if member.gram and rows:
            for row, one in zip(
                rows, member.gram.influences(np.stack([asked[row].square for row in rows])), strict=True
            ):
                found[row].append(one)
    return [mean_influences(some) for some in found]


def _explain_image(
    asked: AskedImage, model: "LoadedModel", members: Sequence[_Member], influences: Influences | None
) -> ExplainedImage:
    logit = float(model.member_logits(asked.square[None])[0, list(asked.members)].mean())
    image = asked.square / 255
    parts = [_attribution(member, image) for member in members]
    attribution = Attribution(
        *(np.mean([getattr(part, name) for part in parts], axis=0) for name in Attribution._fields)
    )
    focus, kind = _focus(members, image, positive=logit > model.threshold)
    return ExplainedImage(asked, logit, attribution, focus, kind, influences)


def _attribution(member: _Member, image: Picture) -> Attribution:
    if member.map is None:
        return integrated_gradients(member.network, image, member.begin)
    weight, bias = member.map
    picture = weight * (image - member.begin)
    start = float((weight * member.begin).sum()) + bias
    return Attribution(picture, start, float(picture.sum()) + start - (float((weight * image).sum()) + bias))


def _focus(members: Sequence[_Member], image: Picture, *, positive: bool) -> tuple[Picture | None, str]:
    """Return where networks look that are not linear: the mean of their pictures, and what these are."""
    others = [member.network for member in members if member.map is None]
    if not others:
        return None, ""
    cams = [grad_cam(network, image, positive=positive) for network in others]
    found = [cam for cam in cams if cam is not None]
    if len(found) == len(others):
        return np.mean(found, axis=0), GRAD_CAM
    return np.mean([local_map(network, image) for network in others], axis=0), LOCAL_MAP

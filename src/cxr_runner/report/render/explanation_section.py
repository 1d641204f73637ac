"""Why a model says what it says, as ``cxr-model explain`` left it, for the page."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from cxr_runner.artifacts.explanation_file import (
    IMAGES_PICTURE,
    WEIGHTS_PICTURE,
    StoredExplanation,
    describe_explanation,
    training_picture,
)
from cxr_runner.base.markdown import printable

_OF_IMAGES = "Each image beside what its pixels add to the logit"


@dataclass(frozen=True)
class ExplanationPicture:
    """One picture.

    Attributes:
        title: what it shows.
        address: the picture as a data URI.
    """

    title: str
    address: str


@dataclass(frozen=True)
class ExplanationSection:
    """One model.

    Attributes:
        heading: what it is called.
        sentences: its weights, where they lie, its images.
        pictures: the pictures.
    """

    heading: str
    sentences: tuple[str, ...]
    pictures: tuple[ExplanationPicture, ...]


def explanation_sections(explanations: Mapping[str, StoredExplanation]) -> list[ExplanationSection]:
    """Put explanations into words and pictures.

    Args:
        explanations: by what a configuration is called.
    """
    return [_section(label, one) for label, one in explanations.items()]


def _section(label: str, explanation: StoredExplanation) -> ExplanationSection:
    content, pictures = explanation.content, explanation.pictures
    titles = {WEIGHTS_PICTURE: "Weights, in signed colours on one scale", IMAGES_PICTURE: _OF_IMAGES}
    for one in content["images"]:
        titles[training_picture(one["number"])] = f"The training images behind {printable(one['name'])}"
    sentences = tuple(f"{line[0].upper()}{line[1:]}." for line in map(printable, describe_explanation(content)))
    shown = tuple(
        ExplanationPicture(title, f"data:image/jpeg;base64,{base64.b64encode(pictures[name]).decode()}")
        for name, title in titles.items()
        if name in pictures
    )
    return ExplanationSection(label, sentences, shown)

"""Explanations of a model: the files in ``explanations/``, and how reports read them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_runner.base.checked_json import read_checked_json
from cxr_runner.base.files import read_content
from cxr_runner.base.numbers import format_number, plural

EXPLANATION_FORMAT = 1  # raised when explanation.json changes for its readers; reports ignore files of another format
EXPLANATIONS, EXPLANATION = "explanations", "explanation.json"
WEIGHTS_PICTURE, IMAGES_PICTURE = "weights.png", "images.png"
REGIONS = {"ring": "outermost pixels", "frame": "outer eighth on each side", "corners": "corners of that frame"}
_MOST_PICTURE = 2**24  # bytes that a picture of ours never has


@dataclass(frozen=True)
class StoredExplanation:
    """What ``cxr-model explain`` has left of a model.

    Attributes:
        content: content of ``explanation.json``.
        pictures: PNG files by their names; those that can be read.
    """

    content: Mapping[str, Any]
    pictures: Mapping[str, bytes]

    @property
    def configurations(self) -> tuple[str, ...]:
        """Directories of the configurations of the model, each its name and id."""
        return tuple(dict.fromkeys(run.partition("/")[0] for run in self.content["model"]["runs"]))


def training_picture(number: int) -> str:
    """Return the name of the picture of the training images behind the image of a number."""
    return f"training_{number}.png"


def read_explanations(root: Path) -> Iterator[StoredExplanation]:
    """Yield the explanations below a folder that can be read and have not changed since they were written."""
    for path in sorted(root.rglob(f"{EXPLANATIONS}/{EXPLANATION}")):
        content, intact = read_checked_json(path)
        if intact and content.get("format") == EXPLANATION_FORMAT:
            names = [WEIGHTS_PICTURE, IMAGES_PICTURE, *(training_picture(one["number"]) for one in content["images"])]
            found = {name: read_content(path.with_name(name), _MOST_PICTURE) for name in names}
            yield StoredExplanation(content, {name: picture for name, picture in found.items() if picture})


def describe_explanation(content: Mapping[str, Any]) -> list[str]:
    """Put an explanation into lines: the weights, where they lie, each image and the training images behind it.

    Args:
        content: content of ``explanation.json``.
    """
    lines: list[str] = []
    if content["weights"]:
        lines += _weight_lines(content)
    lines += _region_lines(content)
    for one in content["images"]:
        lines.append(_image_line(one, content))
    if content["no_influences"] and content["images"]:
        lines.append(f"no training images stand behind these: {content['no_influences']}")
    return lines


def _weight_lines(content: Mapping[str, Any]) -> Iterator[str]:
    weights, runs = content["weights"], plural(len(content["model"]["runs"]), "run")
    smooth = f"Moran's I {format_number(weights['weights']['morans_i'], '.2f')}"
    if weights["learned"]:
        smooth += f", {format_number(weights['learned']['morans_i'], '.2f')} without what the first weights leave"
    yield f"weights of {runs}: neighbours alike, {smooth}"
    if weights["share_same"] is not None:
        agree = format_number((weights["learned"] or weights["weights"])["agreement"], ".3f")
        share = f"{weights['share_same']:.0%} of the pixels differ from 0 by more than the spread over runs explains"
        yield f"{share} ({weights['share_by_chance']:.0%} by chance); pictures of two runs correlate by {agree}"


def _region_lines(content: Mapping[str, Any]) -> Iterator[str]:
    areas, shares = content["areas"], {}
    if content["weights"]:
        shares["weights"] = content["weights"]["regions"]
        shares["weights times what pixels differ by"] = content["weights"]["effect_regions"]
    if images := [one["regions"] for one in content["images"] if one["regions"]["frame"] is not None]:
        shares["what adds up to the logits"] = {key: sum(one[key] for one in images) / len(images) for key in areas}
    for words, found in shares.items():
        if found:
            listed = [
                f"{REGIONS[key]} {format_number(found[key], '.1%')} ({areas[key]:.1%} of the area)" for key in areas
            ]
            yield f"{words}: {'; '.join(listed)}"
    for audit in content["audits"]:
        listed = [f"{one['words']} {one['auroc']:.3f}" for one in audit["baselines"]]
        yield f"audit of the same images: AUROC of linear models on {'; '.join(listed)}"


def _image_line(one: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    truth = f", is {one['class']}" if one["class"] else ""
    line = f"{one['number']}. {one['name']} ({one['why']}{truth}): logit {format_number(one['logit'], '+.3f')}"
    parts = f"{content['begins_at']} {format_number(one['begin_logit'], '+.3f')}"
    line += f" = {parts} and its pixels, error {abs(one['completeness_error']):.1g}"
    if training := one["training"]:
        up, down, start = (format_number(training[key], "+.3f") for key in ("up_sum", "down_sum", "start"))
        line += f"; of training images {up} and {down}, of the first weights {start}"
        line += f", sum less logit {abs(training['sum_minus_logit']):.1g}"
    return line

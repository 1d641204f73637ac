"""Explanations of a model: the files in ``explanations/``, and how reports read them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cxr_runner.artifacts.rundir import read_run
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
        folder: where it lies.
        content: content of ``explanation.json``.
        pictures: pictures by the names of their files, once they have been read.
    """

    folder: Path
    content: Mapping[str, Any]
    pictures: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def runs(self) -> frozenset[str]:
        """Name, id and seed of the runs of the model."""
        return frozenset(self.content["model"]["runs"])

    def read_pictures(self) -> "StoredExplanation":
        """Return the same with those of its pictures that can be read, as PNG."""
        numbers = [one["number"] for one in self.content["images"]]
        names = [WEIGHTS_PICTURE, IMAGES_PICTURE, *map(training_picture, numbers)]
        found = {name: read_content(self.folder / name, _MOST_PICTURE) for name in names}
        return replace(self, pictures={name: picture for name, picture in found.items() if picture})

    def without_images(self) -> "StoredExplanation":
        """Return what there is to say of the weights alone."""
        weights = {name: picture for name, picture in self.pictures.items() if name == WEIGHTS_PICTURE}
        return replace(self, content={**self.content, "images": [], "no_influences": ""}, pictures=weights)


def training_picture(number: int) -> str:
    """Return the name of the picture of the training images behind the image of a number."""
    return f"training_{number}.png"


def find_explanations(root: Path) -> Iterator[StoredExplanation]:
    """Yield the explanations below a folder that can be read, as they were written, and of the weights that runs have.

    Those of a folder with a model that was handed on are not among them: they are of no run.
    """
    for path in sorted(root.rglob(f"{EXPLANATIONS}/{EXPLANATION}")):
        content, intact = read_checked_json(path)
        if intact and content.get("format") == EXPLANATION_FORMAT and _is_current(content, path.parents[1]):
            yield StoredExplanation(path.parent, content)


def _is_current(content: Mapping[str, Any], model_folder: Path) -> bool:
    """Whether the runs still have the weights that were explained; the folder is that of a run, or beside several."""
    weights = content["model"]["weights"]
    runs = model_folder.parent if len(weights) > 1 else model_folder.parents[1]
    return all(checksum == read_run(runs / key).weights for key, checksum in weights.items())


def describe_explanation(content: Mapping[str, Any]) -> list[str]:
    """Put an explanation into lines: the weights, where they lie, each image and the training images behind it.

    Args:
        content: content of ``explanation.json``.
    """
    lines: list[str] = []
    if content["weights"]:
        lines += _weight_lines(content)
        if content["model"]["shared_seeds"]:
            lines.append("runs of one seed begin at the same weights, and what these leave counts as the same in them")
    lines += _region_lines(content)
    for one in content["images"]:
        lines.append(_image_line(one, content))
    if content["no_influences"]:
        what = "no training images stand behind these" if content["images"] else "no image is explained"
        lines.append(f"{what}: {content['no_influences']}")
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
    if content["weights"] and content["weights"]["aurocs"]:
        found = content["weights"]["aurocs"]
        listed = [f"{REGIONS[key]} {format_number(found[key])}" for key in areas]
        yield f"AUROC of these weights on test by parts of the image: {'; '.join(listed)}; inside of the frame " + (
            format_number(found["inside"])
        )
    for audit in content["audits"]:
        listed = [f"{one['words']} {one['auroc']:.3f}" for one in audit["baselines"]]
        yield f"audit of the same images: AUROC of linear models on {'; '.join(listed)}"


def _image_line(one: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    truth = f", is {one['class']}" if one["class"] else ""
    logit, begin = one["logit"], one["begin_logit"]
    parts = (
        f"{format_number(begin, '+.3f')} of {content['begins_at']} and {format_number(logit - begin, '+.3f')} of its"
    )
    line = f"image {one['number']}, {one['name']} ({one['why']}{truth}): logit {format_number(logit, '+.3f')}, {parts}"
    line += f" pixels (error {abs(one['completeness_error']):.1g})"
    if training := one["training"]:
        keys = ("up_sum", "down_sum", "common", "start")
        up, down, common, start = (format_number(training[key], "+.3f") for key in keys)
        line += f"; of these, single training images add {up} and {down}, what they have in common {common}"
        line += f", and the first weights {start}"
        line += f" (error {abs(training['sum_minus_logit']):.1g})"
    return line

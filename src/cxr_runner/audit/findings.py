"""What an audit found, one sentence each, and what to do about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean
from typing import Literal

from cxr_runner.audit.duplicates import Duplicates
from cxr_runner.audit.images import Material, conflicting_labels
from cxr_runner.audit.measurements import Sizes
from cxr_runner.audit.patients import Patients
from cxr_runner.audit.shortcuts import Baseline, Shortcuts
from cxr_runner.base.numbers import plural

Level = Literal["act", "look", "fine"]
_FEW = 3  # names that a sentence can hold


@dataclass(frozen=True)
class Finding:
    """One of them.

    Attributes:
        level: ``act`` before anything is trained, ``look`` when results are read, ``fine``.
        text: what was found.
        action: what to do about it, '' where there is nothing to do.
    """

    level: Level
    text: str
    action: str = ""


def find(
    material: Material, sizes: Sizes, duplicates: Duplicates, patients: Patients | None, shortcuts: Shortcuts | None
) -> list[Finding]:
    """Return all findings, what is to be acted upon first."""
    found = [*_files(material), *_duplicates(material, duplicates), *_sizes(sizes)]
    if patients is not None:
        found += _patients(material, patients)
    if shortcuts is not None:
        found += _shortcuts(shortcuts, patients)
    order: list[Level] = ["act", "look", "fine"]
    return sorted(found, key=lambda finding: order.index(finding.level))


def _files(material: Material) -> Iterator[Finding]:
    if material.about.synthetic:
        yield Finding("look", "These are synthetic phantom data: the audit says nothing about X-rays.")
    if material.obstacle:
        yield Finding("act", f"No run can be trained on these images as configured: {material.obstacle}.")
    if len(material.unreadable):
        names = _names(material.unreadable["name"].tolist())
        text = f"{plural(len(material.unreadable), 'image')} cannot be read: {names}."
        yield Finding("act", text, "mend or remove them, or set data.on_bad_image=skip")
    else:
        yield Finding("fine", f"All {len(material.readable):,} images can be read.")


def _duplicates(material: Material, duplicates: Duplicates) -> Iterator[Finding]:
    if conflicts := conflicting_labels(material.readable):
        names = _names([" = ".join(group) for group in conflicts])
        text = f"{plural(len(conflicts), 'group')} of identical images lie in both classes: {names}."
        yield Finding("act", text, "find out which label is right and remove the other copy")
    if duplicates.groups:
        same = "files" if all(group.files for group in duplicates.groups) else "images"
        text = (
            f"{plural(len(duplicates.groups), 'group')} of identical {same} hold {duplicates.num_extra} extra copies."
        )
        if material.config.duplicates == "drop":
            yield Finding("look", text, "nothing, runs drop them; leave data.duplicates=drop as it is")
        else:
            yield Finding("act", text, "data.duplicates=drop, or copies of training images are tested on")
    else:
        yield Finding("fine", "No two images are identical.")
    if duplicates.num_near:
        text = (
            f"{plural(duplicates.num_near, 'pair')} of images nearly are the same (perceptual hashes differ in at most "
            f"{duplicates.threshold} of 256 bits); {duplicates.num_crossing} lie in different splits."
        )
        yield Finding(
            "act" if duplicates.num_crossing else "look", text, "look at the pairs below; remove what is one picture"
        )
    elif duplicates.nearest:
        text = f"No near-duplicates: the closest two images differ in {duplicates.nearest.distance} of 256 hash bits."
        yield Finding("fine", text)


def _sizes(sizes: Sizes) -> Iterator[Finding]:
    if sizes.num_sizes == 1:
        shape = f"{sizes.classes[0].width[1]:.0f}x{sizes.classes[0].height[1]:.0f}"
        text = f"All images are {shape}, so that size and aspect ratio say nothing here."
        if sizes.all_square:
            text += " If they were stretched to squares, the ratio that they had is still in the pictures."
        yield Finding("look", text, "audit the original files where you can get them")
    elif sizes.aspect_auroc is not None and sizes.aspect_auroc >= 0.6:
        text = f"The aspect ratio alone tells the classes apart with an AUROC of {sizes.aspect_auroc:.3f}."
        yield Finding("look", text, "stretching to a square keeps it in the pictures: hold models against its baseline")
    else:
        area = f", AUROC {sizes.aspect_auroc:.3f}" if sizes.aspect_auroc is not None else ""
        yield Finding("fine", f"Aspect ratios hardly tell the classes apart ({sizes.num_sizes:,} sizes{area}).")


def _patients(material: Material, patients: Patients) -> Iterator[Finding]:
    if patients.unknown:
        text = f"Patients unknown: whether one is in train and test alike cannot be told ({patients.unknown})."
        yield Finding("look", text, "data.patient_pattern, if the names of the files tell patients apart")
        return
    said = [f"{overlap.test:.0%} ({overlap.key}, {overlap.num_patients:,} patients)" for overlap in patients.overlaps]
    text = f"Of the test images {' or '.join(said)} are of a patient who is in train too"
    chance = " and ".join(f"{overlap.random[0]:.0%}" for overlap in patients.overlaps)
    if any(overlap.test > 0 for overlap in patients.overlaps):
        yield Finding("act", f"{text}; of random splits {chance} on average.", "data.split.strategy=patient")
    else:
        yield Finding("fine", f"No patient is in train and test alike; random splits would have {chance}.")
    if patients.in_both_classes:
        text = f"{plural(patients.in_both_classes, 'patient')} have images in both classes."
        yield Finding("look", text, "see that data.patient_pattern reads patients rightly")


def _shortcuts(shortcuts: Shortcuts, patients: Patients | None) -> Iterator[Finding]:
    by_name = {baseline.name: baseline for baseline in shortcuts.baselines}
    chance = by_name["majority"]
    yield Finding(
        "look",
        f"Calling every test image the same ({chance.words}) is right for {chance.own.accuracy:.1%} of them.",
        "read accuracies against that, and AUROC beside them; loss.pos_weight=balanced weighs the classes alike",
    )
    tiny, statistics = by_name["pixels8"], by_name["intensity"]
    if tiny.own.auroc >= 0.6:
        text = f"A linear model on {tiny.words} reaches {_figures(tiny)}, on {statistics.words} {_figures(statistics)}."
        yield Finding("look", text, "hold every model against this row; cxr-report puts it into its tables")
    outer = [by_name[name] for name in ("ring", "frame", "size") if name in by_name]
    telling = [baseline for baseline in outer if baseline.own.auroc >= 0.6]
    if telling:
        listed = "; ".join(f"{baseline.words}: {_figures(baseline)}" for baseline in telling)
        text = f"The class can be read off what is not the lungs ({listed})."
        yield Finding("look", text, "test on images of another hospital before a model is believed")
    large = by_name["pixels32"]
    if large.patient and large.random and patients and not patients.unknown:
        one, other = (mean(accuracy for accuracy, _ in pairs) for pairs in (large.random, large.patient))
        text = f"Keeping patients apart changes {large.words} from {one:.1%} to {other:.1%} (means of several splits)."
        yield Finding("look" if one - other > 0.02 else "fine", text)


def _figures(baseline: Baseline) -> str:
    return f"{baseline.own.accuracy:.1%}, AUROC {baseline.own.auroc:.3f}"


def _names(names: list[str]) -> str:
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more

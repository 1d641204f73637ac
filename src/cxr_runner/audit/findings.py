"""The findings of an audit, one sentence each, and what to do about them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Literal

from cxr_runner.audit.class_columns import ClassColumn
from cxr_runner.audit.duplicates import Duplicates
from cxr_runner.audit.images import AuditedData, conflicting_labels
from cxr_runner.audit.overlaps import Overlaps
from cxr_runner.audit.shortcuts import Baseline, Shortcuts
from cxr_runner.audit.sizes import Sizes
from cxr_runner.base.numbers import list_few, plural
from cxr_runner.data.quality.unlike_test import UnlikeTest

Level = Literal["act", "look", "fine"]
_LEVELS: tuple[Level, ...] = ("act", "look", "fine")  # in the order in which findings are listed
_FEW = 3  # names that a sentence can hold
_TELLING = 0.6  # AUROC from which on a shortcut is worth a finding


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        level: ``act`` before anything is trained, ``look`` when results are read, ``fine``.
        text: the finding.
        action: what to do about it; '' where there is nothing to do.
    """

    level: Level
    text: str
    action: str = ""


@dataclass(frozen=True)
class Storage:
    """How the images are stored, apart from their size.

    Attributes:
        differences: attributes by which the classes differ, each a phrase.
        inverted: names of the images that are inverted against the rest; None where that cannot be told.
    """

    differences: tuple[str, ...]
    inverted: tuple[str, ...] | None


def list_findings(
    audited: AuditedData,
    stored: Storage,
    sizes: Sizes,
    duplicates: Duplicates,
    patients: Overlaps | None,
    shortcuts: Shortcuts | None,
    subgroups: Sequence[ClassColumn] = (),
) -> list[Finding]:
    """Return all findings, those to act upon first."""
    findings = [
        *_files(audited),
        *_stored(stored),
        *(_unlike(audited.dataset.checks.unlike) if audited.dataset else ()),
        *_identical(audited, duplicates),
        *_near(duplicates),
        *_sizes(sizes),
        *(_patients(patients) if patients else ()),
        *(_shortcuts(shortcuts) if shortcuts else ()),
        *(finding for column in subgroups for finding in _subgroup(column)),
        *(_patients_apart(shortcuts, patients) if shortcuts and patients else ()),
    ]
    return sorted(findings, key=lambda finding: _LEVELS.index(finding.level))


def _files(audited: AuditedData) -> Iterator[Finding]:
    if audited.about.synthetic:
        yield Finding("look", "These are synthetic phantom data: the audit says nothing about X-rays.")
    if audited.obstacle:
        yield Finding("act", f"No run can be trained on these images as configured: {audited.obstacle}.")
    if len(audited.unreadable):
        names = list_few(audited.unreadable["name"].tolist(), most=_FEW)
        text = f"{plural(len(audited.unreadable), 'image')} cannot be read: {names}."
        yield Finding("act", text, "repair or remove them, or set data.on_bad_image=skip")
    else:
        yield Finding("fine", f"All {len(audited.readable):,} images can be read.")


def _stored(stored: Storage) -> Iterator[Finding]:
    if stored.differences:
        text = f"The classes differ in how their images are stored: {'; '.join(stored.differences)}."
        yield Finding("act", text, "find out why; a model may learn that and nothing else")
    else:
        yield Finding("fine", "Bits, modes, sizes and polarity do not tell the classes apart.")
    if stored.inverted is None:
        yield Finding("look", "The images have no picture in common, so that inverted ones cannot be told from others.")
    elif stored.inverted:
        names = list_few(stored.inverted, most=_FEW)
        text = f"{plural(len(stored.inverted), 'image')} seem to be inverted against the rest: {names}."
        yield Finding("act", text, "look at them, audit.json names all; invert them or leave them out")
    else:
        yield Finding("fine", "No image is inverted against the rest.")


def _unlike(unlike: UnlikeTest | None) -> Iterator[Finding]:
    if unlike is None:
        return
    drawn = mean(unlike.drawn)
    text = (
        f"A linear model on 32x32 pixels is right for {unlike.given:.1%} of the given test set, for {drawn:.1%} of test"
    )
    text += " sets that are drawn from all images"
    if unlike.unlike:
        action = "read results on it as results on other images; data.split.strategy=patient draws another test set"
        yield Finding("act", f"The given test set is unlike the training set. {text}.", action)
    else:
        yield Finding("fine", f"The given test set is like the training set. {text}.")


def _identical(audited: AuditedData, duplicates: Duplicates) -> Iterator[Finding]:
    if conflicts := conflicting_labels(audited.readable):
        names = list_few([" = ".join(group) for group in conflicts], most=_FEW)
        text = f"{plural(len(conflicts), 'group')} of identical images lie in both classes: {names}."
        yield Finding("act", text, "find out which label is right and remove the other copy")
    if not duplicates.groups:
        yield Finding("fine", "No two images are identical.")
        return
    same = "files" if all(group.files for group in duplicates.groups) else "images"
    text = f"{plural(len(duplicates.groups), 'group')} of identical {same} hold {duplicates.num_extra} extra copies."
    if audited.config.duplicates == "drop":
        yield Finding("look", text, "nothing, runs drop them; leave data.duplicates=drop as it is")
    else:
        yield Finding("act", text, "set data.duplicates=drop, or copies of training images are tested on")


def _near(duplicates: Duplicates) -> Iterator[Finding]:
    if duplicates.num_near:
        pairs = plural(duplicates.num_near, "pair")
        text = (
            f"{pairs} of images are nearly identical (perceptual hashes differ in at most {duplicates.threshold} of "
            f"256 bits); {duplicates.num_crossing} lie in different splits."
        )
        level: Level = "act" if duplicates.num_crossing else "look"
        yield Finding(level, text, "look at the pairs below; remove copies of one image")
    elif duplicates.nearest:
        text = f"No near-duplicates: the closest two images differ in {duplicates.nearest.distance} of 256 hash bits."
        yield Finding("fine", text)


def _sizes(sizes: Sizes) -> Iterator[Finding]:
    if sizes.num_sizes == 1:
        shape = f"{sizes.classes[0].width[1]:.0f}x{sizes.classes[0].height[1]:.0f}"
        text = f"All images are {shape}, so that size and aspect ratio say nothing here."
        if sizes.all_square:
            text += " If they were stretched to squares, the former aspect ratio is still visible in the images."
        yield Finding("look", text, "audit the original files where you can get them")
    elif sizes.aspect_auroc is not None and sizes.aspect_auroc >= _TELLING:
        text = f"The aspect ratio alone tells the classes apart with an AUROC of {sizes.aspect_auroc:.3f}."
        yield Finding("look", text, "compare models with its baseline; stretching to a square does not remove it")
    else:
        area = f", AUROC {sizes.aspect_auroc:.3f}" if sizes.aspect_auroc is not None else ""
        yield Finding("fine", f"Aspect ratios hardly tell the classes apart ({sizes.num_sizes:,} sizes{area}).")


def _patients(patients: Overlaps) -> Iterator[Finding]:
    if patients.unknown:
        text = f"Patients are unknown, and so is whether train and test share any ({patients.unknown})."
        yield Finding("look", text, "set data.patient_pattern, if the names of the files tell patients apart")
        return
    shares = [f"{overlap.test:.0%} ({overlap.key}, {overlap.num_patients:,} patients)" for overlap in patients.overlaps]
    chance = " and ".join(f"{overlap.random[0]:.0%}" for overlap in patients.overlaps)
    if any(overlap.test > 0 for overlap in patients.overlaps):
        text = f"Of the test images {' or '.join(shares)} are of a patient who is in train too"
        yield Finding(
            "act" if patients.overlaps[0].test > 0 else "look",
            f"{text}; of random splits {chance} on average.",
            "set data.split.strategy=patient",
        )
    else:
        yield Finding("fine", f"No patient is in both train and test; random splits would have {chance}.")
    if patients.in_both_classes:
        text = f"{plural(patients.in_both_classes, 'patient')} have images in both classes."
        yield Finding("look", text, "check that patients are read correctly, from the column or the names of the files")


def _shortcuts(shortcuts: Shortcuts) -> Iterator[Finding]:
    by_name = {baseline.name: baseline for baseline in shortcuts.baselines}
    chance = by_name["majority"]
    yield Finding(
        "look",
        f"Calling every test image the same ({chance.words}) is right for {chance.score.accuracy:.1%} of them.",
        "compare accuracies with that, and read AUROC beside them; loss.pos_weight=balanced weighs the classes alike",
    )
    tiny, statistics = by_name["pixels8"], by_name["intensity"]
    if _is_telling(tiny):
        text = f"A linear model on {tiny.words} reaches {_metrics(tiny)}, on {statistics.words} {_metrics(statistics)}."
        yield Finding("look", text, "compare every model with this row, which cxr-report adds to its tables")
    outer = [by_name[name] for name in ("ring", "frame", "size") if name in by_name]
    if telling := [baseline for baseline in outer if _is_telling(baseline)]:
        listed = "; ".join(f"{baseline.words}: {_metrics(baseline)}" for baseline in telling)
        text = f"The class can be predicted without the lungs ({listed})."
        yield Finding("look", text, "test a model on images of another hospital before you believe it")


def _patients_apart(shortcuts: Shortcuts, patients: Overlaps) -> Iterator[Finding]:
    large = next(baseline for baseline in shortcuts.baselines if baseline.name == "pixels32")
    if large.patient and large.random and not patients.unknown:
        random, apart = (mean(accuracy for accuracy, _ in pairs) for pairs in (large.random, large.patient))
        text = (
            f"Keeping patients apart changes {large.words} from {random:.1%} to {apart:.1%} (means of several splits)."
        )
        yield Finding("look" if random - apart > 0.02 else "fine", text)


def _subgroup(column: ClassColumn) -> Iterator[Finding]:
    level = column.most_different
    shares = " against ".join(f"{share:.0%} of {name}" for name, share in reversed(level.shares.items()))
    if column.telling:
        text = (
            f"The column {column.name} tells the class: {level.value} are {shares} ({column.chance}, Cramér's V "
            f"{column.cramers_v:.2f})."
        )
        action = "a model may learn what goes with it and not the disease; read the report's metrics by subgroup"
        yield Finding("look", text, action)
    elif len(column.levels) == 1:
        yield Finding("look", f"The column {column.name} has one value for all images: {level.value}.")
    else:
        yield Finding("fine", f"The column {column.name} hardly tells the class: at most, {level.value} are {shares}.")


def _is_telling(baseline: Baseline) -> bool:
    return baseline.score.auroc >= _TELLING


def _metrics(baseline: Baseline) -> str:
    return f"{baseline.score.accuracy:.1%}, AUROC {baseline.score.auroc:.3f}"

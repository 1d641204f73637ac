"""The checks of a data set, made once for a store and its splits and kept beside it."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.base.checked_json import read_checked_json, write_checked_json
from cxr_runner.base.checksums import digest
from cxr_runner.base.locks import locked_folder
from cxr_runner.base.progress import Reporter
from cxr_runner.data.patients import Patients
from cxr_runner.data.quality.image_checks import ImageChecks
from cxr_runner.data.quality.shared_patients import num_shared
from cxr_runner.data.quality.unlike_test import UnlikeTest

_NEARLY_ALL = 0.9
_VERSION = 1  # counts changes of what is checked: older results are then computed anew


@dataclass(frozen=True)
class SharedPatients:
    """Images whose patient is in train too, by one definition of a patient.

    Attributes:
        key: what a patient is known by.
        val: number of such images in val.
        test: number of such images in test.
    """

    key: str
    val: int
    test: int


@dataclass(frozen=True)
class NearDuplicates:
    """Images that are nearly the same as others, by perceptual hashes.

    Attributes:
        pairs: number of pairs.
        crossing: number of these that lie in different splits.
        val: number of the images of val with one in train.
        test: number of the images of test with one in train.
        compared: number of images that were compared.
        images: number of all images.
    """

    pairs: int
    crossing: int
    val: int
    test: int
    compared: int
    images: int


@dataclass(frozen=True)
class Checks:
    """What was found out about a data set with its splits.

    Attributes:
        sizes: number of images of each split.
        patients: images whose patient is in train too; empty where patients are not known.
        near_duplicates: None for synthetic images, which are all drawn anew.
        inverted: number of images of each class that are inverted against the rest; None where that cannot be told.
        differences: attributes by which the classes differ, each a phrase.
        unlike: comparison of the test set that the data bring with others; None where they bring none.
        few_bright: where nearly all images with more than 8 bits need fewer bits than the brightest, by which all are
            scaled: number of these, of all, bits that these need at most, and bits of the scale.
        one_image_each: whether the patients that the data name have one image each, so that they group nothing.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    patients: tuple[SharedPatients, ...] = ()
    near_duplicates: NearDuplicates | None = None
    inverted: dict[str, int] | None = None
    differences: tuple[str, ...] = ()
    unlike: UnlikeTest | None = None
    one_image_each: bool = False
    few_bright: tuple[int, int, int, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the checks ready for JSON."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return content

    def warnings(self) -> list[str]:
        """Return a sentence for each finding that whoever reads an accuracy has to know; no names of images."""
        return [*self._leaks(), *self._doubts()]

    def _leaks(self) -> list[str]:
        sentences = []
        if self.patients and (self.patients[0].test or self.patients[0].val):
            first, *others = self.patients
            known = f", known by {first.key}" if first.key != "patient" else ""
            beside = "".join(f"; {self._share(other.test)} by {other.key}" for other in others)
            sentences.append(
                f"{self._share(first.test)} of the test images are of a patient who is in train too{known}{beside}: "
                "data.split.strategy=patient keeps patients apart"
            )
        near = self.near_duplicates
        if near and (near.test or near.val):
            of = "" if near.compared == near.images else f" ({near.compared:,} of {near.images:,} images were compared)"
            sentences.append(
                f"{near.test:,} of {self.sizes['test']:,} test images and {near.val:,} of {self.sizes['val']:,} val "
                f"images are nearly the same as one of train{of}: cxr-data audit shows them"
            )
        if self.unlike and self.unlike.unlike:
            drawn = float(np.mean(self.unlike.drawn))
            sentences.append(
                f"the given test set is unlike the training set: a linear model on 32x32 pixels is right for "
                f"{self.unlike.given:.1%} of it, for {drawn:.1%} of test sets that are drawn from all images"
            )
        return sentences

    def _doubts(self) -> list[str]:
        sentences = []
        if self.one_image_each:
            sentences.append(
                "every patient has one image: what the data call a patient may be an image, and groups nothing"
            )
        if self.few_bright:
            few, total, needed, scale = self.few_bright
            sentences.append(
                f"{few:,} of {total:,} images with 16 bits a pixel need {needed} bits or fewer, but all are scaled by "
                f"{scale}, which the brightest need, and are dark: look at these, or set data.bits={needed}"
            )
        if self.differences:
            listed = "; ".join(self.differences)
            sentences.append(f"the classes differ in how their images are stored: {listed}; a model may learn that")
        if self.inverted and (number := sum(self.inverted.values())):
            by_class = ", ".join(f"{count:,} {name}" for name, count in self.inverted.items())
            images = "image is" if number == 1 else "images are"
            sentences.append(f"{number:,} {images} inverted against the rest ({by_class}); cxr-data audit names them")
        return sentences

    def _share(self, number: int) -> str:
        total = self.sizes["test"]
        return f"{number / total:.0%} ({number:,} of {total:,})"


NOTHING_CHECKED = Checks()


def check_images(
    images: ImageChecks, assigned: NDArray[np.str_], reporter: Reporter, *, given: bool, fingerprint: str
) -> Checks:
    """Check the images of a data set and their splits, or read what an earlier check gave.

    Args:
        images: checks of the images.
        assigned: str [images], split of each image; '' for one that is left out.
        reporter: shows the progress.
        given: whether the data bring the test set.
        fingerprint: fingerprint of images, labels and splits.
    """
    kept = _path(images.derived, fingerprint, images.patients, given)
    content, intact = read_checked_json(kept)
    if intact:
        with suppress(TypeError, KeyError):  # of another version
            return _from_dict(content)
    images.prepare(reporter)
    checks = _check(images, assigned, given)
    with suppress(OSError), locked_folder(kept.parent):  # a read-only cache: they are made each time
        write_checked_json(kept, checks.as_dict())
    return checks


def _path(derived: Path, fingerprint: str, patients: Patients, given: bool) -> Path:
    """Return the path of the result, by all that it depends on."""
    key = json.dumps([_VERSION, fingerprint, patients.keys, patients.key, patients.coarser, given])
    return derived / "checks" / f"{digest(key, 16)}.json"


def _check(images: ImageChecks, assigned: NDArray[np.str_], given: bool) -> Checks:
    table, patients, inverted = images.table, images.patients, images.inverted
    near, pairs = None, images.near_pairs(assigned)
    if pairs is not None:
        in_train = pairs.num_in_train
        near = NearDuplicates(
            pairs.num_pairs, pairs.num_crossing, in_train["val"], in_train["test"], pairs.num_compared, len(table)
        )
    by_class = None
    if inverted is not None:
        by_class = {name: int(inverted[images.labels == label].sum()) for label, name in enumerate(images.class_names)}
    return Checks(
        sizes={split: int((assigned == split).sum()) for split in ("train", "val", "test")},
        patients=tuple(_shared_patients(assigned, patients)),
        near_duplicates=near,
        inverted=by_class,
        differences=images.differences,
        unlike=images.unlike if given else None,
        few_bright=_few_bright(table),
        one_image_each=patients.named and len(set(patients.keys)) == len(table),
    )


def _few_bright(table: pd.DataFrame) -> tuple[int, int, int, int] | None:
    """Return what :attr:`Checks.few_bright` holds: one burnt-in corner may darken a whole set."""
    bits = table["bits"][table["mode"].str.endswith(";16")]
    if bits.empty:
        return None
    needed = int(bits.quantile(_NEARLY_ALL, "higher"))
    scale = int(bits.max())
    return (int((bits <= needed).sum()), len(bits), needed, scale) if scale >= needed + 2 else None


def _shared_patients(assigned: NDArray[np.str_], patients: Patients) -> list[SharedPatients]:
    if patients.problem:
        return []
    definitions = [(patients.key, patients.keys)]
    definitions += [(patients.coarser_key, patients.coarser)] if patients.coarser else []
    return [
        SharedPatients(key, *(num_shared(assigned, of, split) for split in ("val", "test"))) for key, of in definitions
    ]


def _from_dict(content: dict[str, Any]) -> Checks:
    """Return checks from what ``asdict`` made of them."""
    near, unlike = content["near_duplicates"], content["unlike"]
    return Checks(
        content["sizes"],
        tuple(SharedPatients(**one) for one in content["patients"]),
        None if near is None else NearDuplicates(**near),
        content["inverted"],
        tuple(content["differences"]),
        None if unlike is None else UnlikeTest(unlike["given"], tuple(unlike["drawn"]), unlike["unlike"]),
        content["one_image_each"],
        None if content["few_bright"] is None else tuple(content["few_bright"]),
    )

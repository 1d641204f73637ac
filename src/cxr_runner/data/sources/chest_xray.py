"""The study's data set, as a preset of a set on the Hub: one revision, its files, and all that they must hold.

The data set's main branch is a loading script, which ``datasets`` refuses since version 4; what is read instead is the
parquet conversion that the Hub keeps beside it, pinned to one revision and, where they are known, to the checksums of
its files (:mod:`cxr_runner.data.sources.pinned`).
"""

from cxr_runner.data.sources import SPLITS, About
from cxr_runner.data.sources.hub_preset import Expected, KnownSet
from cxr_runner.data.sources.hub_set import Columns, HubSet, Patterns
from cxr_runner.data.sources.pinned import read_pinned

_PINNED = read_pinned()
REPO: str = _PINNED["repo"]
REVISION: str = _PINNED["revision"]
FILES: dict[str, str] = {split: _PINNED["files"][split]["path"] for split in SPLITS}
SUMS: dict[str, str | None] = {split: _PINNED["files"][split]["sha256"] for split in SPLITS}
STUDY = Expected()


def describe_study(expected: Expected = STUDY) -> HubSet:
    """Describe chest X-rays of children, normal or with pneumonia: 4077 / 1165 / 582 images in train / val / test.

    Args:
        expected: counts and class names to insist on.

    Source:
        Kermany, Zhang, Goldbaum (2018), doi:10.17632/rscbjbr9sj.2, CC BY 4.0; this copy is
        https://huggingface.co/datasets/keremberke/chest-xray-classification.
    """
    about = About(
        title="Chest X-ray pneumonia (Kermany et al.)",
        citation=(
            "Kermany, Zhang, Goldbaum, Labeled Optical Coherence Tomography (OCT) and Chest X-Ray Images for "
            "Classification, Mendeley Data, doi:10.17632/rscbjbr9sj.2; "
            f"distributed by keremberke on the Hugging Face Hub as {REPO}"
        ),
        licence="CC BY 4.0",
    )
    layout = "full/{train,validation,test}/0000.parquet, or the same without full/"
    negative, positive = expected.class_names
    return HubSet(
        REPO,
        about,
        REVISION,
        patterns=Patterns(**FILES),
        columns=Columns("image", "labels", name="image_file_path"),
        positive=(positive,),
        negative=(negative,),
        preset=KnownSet("chest_xray", expected, dict(SUMS), "full/", layout),
    )

"""The explanations that a report shows: those of the reference and of the best on validation."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO

from cxr_runner.artifacts.explanation_file import StoredExplanation
from cxr_runner.report.compare.comparison import DataSetComparison

_WIDEST = 1400  # pixels of a picture


def with_explanations(compared: DataSetComparison, explanations: Sequence[StoredExplanation]) -> DataSetComparison:
    """Return the same with the explanations of the reference and of the best on validation, as far as there are any.

    Args:
        compared: runs on a data set, and what they come to.
        explanations: those in the outputs tree.
    """
    chosen = dict(_chosen(compared, explanations))
    return replace(compared, explanations={label: _encoded(one.read_pictures()) for label, one in chosen.items()})


def _chosen(
    compared: DataSetComparison, explanations: Sequence[StoredExplanation]
) -> Iterator[tuple[str, StoredExplanation]]:
    for one in compared.comparisons:
        for name in dict.fromkeys((one.reference.name, one.best)):
            standing = one.by_name[name]
            keys = {f"{run.directory.parent.name}/{run.directory.name}" for run in standing.runs}
            if found := [explanation for explanation in explanations if explanation.runs <= keys]:
                size = f", {one.image_size} px" if len(compared.comparisons) > 1 else ""
                yield standing.label + size, max(found, key=lambda explanation: len(explanation.runs))


def _encoded(explanation: StoredExplanation) -> StoredExplanation:
    """Return the same with those of its pictures that are some, as JPEG, which has a fifth of the bytes."""
    found = {name: _jpeg(png) for name, png in explanation.pictures.items()}
    return replace(explanation, pictures={name: jpeg for name, jpeg in found.items() if jpeg})


def _jpeg(png: bytes) -> bytes:
    from PIL import Image

    try:
        picture, content = Image.open(BytesIO(png), formats=["PNG"]).convert("RGB"), BytesIO()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return b""
    picture.thumbnail((_WIDEST, 4 * _WIDEST), Image.Resampling.LANCZOS)
    picture.save(content, "JPEG", quality=82)
    return content.getvalue()

"""Thumbnails of images that the report shows, as PNG."""

from collections.abc import Collection
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from cxr_runner.data.stored_images import find_stored_images
from cxr_runner.report.collected import DataSetRuns

_SIDE = 120  # pixels


def read_thumbnails(runs: DataSetRuns, rows: Collection[int]) -> dict[int, bytes]:
    """Return thumbnails of test images as models of the largest size see them; those that a store still holds.

    Args:
        runs: runs on a data set.
        rows: rows of the images of its predictions.
    """
    sized, names = runs.sizes[0], {runs.predictions.names[row]: row for row in rows}
    images = find_stored_images(sized.fingerprints, sized.image_size, names)
    return {names[name]: _encode(image) for name, image in images.items()}


def _encode(image: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    shrunk, content = Image.fromarray(image), BytesIO()
    shrunk.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    shrunk.save(content, "PNG", optimize=True)
    return content.getvalue()

"""Thumbnails of images that the report shows, as JPEG."""

from collections.abc import Collection
from io import BytesIO

from cxr_runner.data.stored_images import StoredImage, find_stored_images
from cxr_runner.report.collected import DataSetRuns, ImageThumbnail

_SIDE = 320  # pixels; the page shows them smaller until one is chosen


def read_thumbnails(runs: DataSetRuns, rows: Collection[int]) -> dict[int, ImageThumbnail]:
    """Return thumbnails of test images as models of the largest size see them; those that a store still holds.

    Args:
        runs: runs on a data set.
        rows: rows of the images of its predictions.
    """
    sized, names = runs.sizes[0], {runs.predictions.names[row]: row for row in rows}
    images = find_stored_images(sized.fingerprints, sized.image_size, names)
    return {names[name]: _encode(image) for name, image in images.items()}


def _encode(image: StoredImage) -> ImageThumbnail:
    from PIL import Image

    shrunk, content = Image.fromarray(image.pixels), BytesIO()
    shrunk.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    shrunk.save(content, "JPEG", quality=85)
    return ImageThumbnail(content.getvalue(), len(image.pixels), image.source_size)

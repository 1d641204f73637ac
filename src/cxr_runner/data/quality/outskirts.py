"""The parts of an image that show little anatomy and much of how it was taken: its ring, its frame and its corners."""

import numpy as np
from numpy.typing import NDArray

_OF_SIDE = 8  # the frame is an eighth of the side wide


def outskirts(side: int) -> dict[str, NDArray[np.bool_]]:
    """Return masks of the outskirts of square images.

    Args:
        side: side of the images in pixels, at least 8.

    Returns:
        By name, bool [side, side]: ``ring``, the outermost pixels; ``frame``, the outer eighth on each side; and
        ``corners``, the four squares in which the frame's sides cross.
    """
    inwards = np.minimum(np.arange(side), np.arange(side)[::-1])  # distance to the nearer end
    outside = inwards < side // _OF_SIDE
    outermost = inwards == 0
    return {
        "ring": outermost[:, None] | outermost[None, :],
        "frame": outside[:, None] | outside[None, :],
        "corners": outside[:, None] & outside[None, :],
    }

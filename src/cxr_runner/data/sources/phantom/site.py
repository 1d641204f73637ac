"""Another hospital: the same kind of patients, taken with another machine, in another pose, with other borders."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cxr_runner.data.sources.phantom.film import Exposure

_WIDEST_BORDER = 0.08  # share of the film on either side


def at_site(exposure: Exposure, site: float) -> Exposure:
    """Return an exposure as another hospital would take it: brighter, flatter, nearer, turned and moved.

    Args:
        exposure: as at the first hospital.
        site: how far the other one is from it, from 0, which changes nothing, to 1.
    """
    if not site:
        return exposure
    return replace(
        exposure,
        angle=exposure.angle + 0.06 * site,
        scale=exposure.scale * (1.0 + 0.15 * site),
        shift=exposure.shift + site * np.array([0.04, -0.05]),
        gain=exposure.gain * (1.0 - 0.25 * site),
        gamma=exposure.gamma * (1.0 - 0.3 * site),
        offset=exposure.offset + 0.12 * site,
    )


def with_borders(image: NDArray[np.uint8], site: float) -> NDArray[np.uint8]:
    """Return an image with the dark borders that another hospital leaves at its sides.

    Args:
        image: uint8 [height, width].
        site: as of :func:`at_site`.
    """
    width = round(_WIDEST_BORDER * site * image.shape[1])
    if width:
        image = image.copy()
        image[:, :width] = image[:, -width:] = 0
    return image

"""How much structure pictures have, and how far they agree with each other."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit


def morans_i(picture: NDArray[np.float64]) -> float:
    """Return Moran's I: how alike neighbours are, 1 for a smooth picture, about 0 for noise.

    Neighbours share an edge.

    Args:
        picture: float64 [height, width].

    Returns:
        The index; NaN for a picture of one value.

    Source:
        Moran, Notes on continuous stochastic phenomena, Biometrika 37 (1950).
    """
    deviations = picture - picture.mean()
    variance = np.square(deviations).mean()
    if not variance > 0:
        return float("nan")
    products = [deviations[1:] * deviations[:-1], deviations[:, 1:] * deviations[:, :-1]]
    return float(sum(one.sum() for one in products) / sum(one.size for one in products) / variance)


def picture_agreement(pictures: NDArray[np.float64]) -> float:
    """Return the mean correlation of all pairs of pictures.

    Args:
        pictures: float64 [pictures, height, width].

    Returns:
        From -1 to 1; NaN for fewer than two pictures, or where one has one value.
    """
    if len(pictures) < 2 or not np.ptp(pictures.reshape(len(pictures), -1), axis=1).all():
        return float("nan")
    correlations = np.atleast_2d(np.corrcoef(pictures.reshape(len(pictures), -1)))
    return float(correlations[np.triu_indices(len(pictures), 1)].mean())


def differs_from_zero(pictures: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where the mean of pictures differs from 0, by a t test of each pixel at 5 %.

    Where there is nothing but noise, one pixel in twenty differs by chance.

    Args:
        pictures: float64 [pictures, height, width], at least two.

    Returns:
        bool [height, width].
    """
    number = len(pictures)
    error = pictures.std(axis=0, ddof=1) / np.sqrt(number)
    return np.asarray(abs(pictures.mean(axis=0)) > stdtrit(number - 1, 0.975) * error)


def reduced(picture: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Reduce a square picture to fewer pixels, each the mean of those that it covers.

    Args:
        picture: float64 [length, length].
        side: of the result, in pixels; a picture that is not larger stays as it is.

    Returns:
        float64 [side, side].
    """
    if len(picture) <= side:
        return picture
    ends = np.linspace(0, len(picture), side + 1)
    pixels = np.arange(len(picture))
    covered = np.clip(np.minimum(ends[1:, None], pixels + 1) - np.maximum(ends[:-1, None], pixels), 0, None)
    weights = covered / covered.sum(axis=1, keepdims=True)
    return np.asarray(weights @ picture @ weights.T)

"""How far models lie apart, without what seeds and test images add to that.

The highest of several noisy means minus the lowest is never negative and grows with their noise: of two families that
are equally consistent, the one whose seeds scatter less would seem to be the more consistent one.
"""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def variance_between(values: Values, images: Values | None = None) -> float:
    """Return the variance of the expected values of models, estimated without bias; below 0 where there is little.

    Products of two seeds are averaged, never the square of one: what a seed does by chance is not in them.

    Args:
        values: float [models, seeds], two or more of either; a seed may affect all models alike.
        images: float [models, patients], what each patient adds to the mean of a model over its seeds, as a part of
            that mean, so that their sum over patients is 0; None where no test images are involved.

    Source:
        The variance component of a two-way table (Searle, Casella and McCulloch, "Variance Components" (1992)) as a
        U-statistic: Hoeffding, Annals of Mathematical Statistics 19 (1948), 293-325.
    """
    num_models, num_seeds = values.shape
    centred = values - values.mean(axis=0)
    products = np.square(centred.sum(axis=1)) - np.square(centred).sum(axis=1)
    variance = float(products.sum()) / ((num_models - 1) * num_seeds * (num_seeds - 1))
    if images is None or images.shape[1] < 2:
        return float(variance)
    num_patients = images.shape[1]
    noise = float(np.square(images - images.mean(axis=0)).sum()) * num_patients / (num_patients - 1)
    return float(variance - noise / (num_models - 1))


def between_by_seed(values: Values, images: Values | None = None) -> Values:
    """Return jackknife pseudo-values of :func:`variance_between`, float [seeds], of three seeds or more.

    Their mean is the variance, and they vary as independent values would that have it as their mean.

    Source:
        Arvesen, "Jackknifing U-Statistics", Annals of Mathematical Statistics 40 (1969), 2076-2100.
    """
    num_seeds = values.shape[1]
    whole = variance_between(values, images)
    without = [variance_between(np.delete(values, seed, axis=1), images) for seed in range(num_seeds)]
    return np.asarray(num_seeds * whole - (num_seeds - 1) * np.array(without))


def between_by_image(values: Values, images: Values) -> Values:
    """Return what each patient adds to :func:`variance_between`, float [patients], to first order; arguments alike."""
    means = values.mean(axis=1)
    terms = (means - means.mean()) @ (images - images.mean(axis=0))
    return np.asarray(2 * terms / (len(values) - 1))

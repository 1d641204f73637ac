"""Images that are nearly the same, by their perceptual hashes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 24  # of 256 bits; see near_pairs
MOST_COMPARED = 40_000  # images: half a minute on one core, and four times as long for twice as many
_ROWS_AT_ONCE = 128
_MOST_PAIRS = 1000  # pairs that are kept; the count says how many there are


class NearPairs(NamedTuple):
    """Pairs of hashes that differ little, each as (index, index, distance in bits).

    Attributes:
        num_pairs: number of all such pairs.
        num_crossing: number of them that lie in different splits.
        num_in_train: for val and test, number of their images that are nearly the same as one of train.
        closest: the pairs that are kept, closest first.
        nearest: the closest two of all hashes; None for fewer than two.
        num_compared: number of images that were compared with each other.
    """

    num_pairs: int
    num_crossing: int
    num_in_train: dict[str, int]
    closest: list[tuple[int, int, int]]
    nearest: tuple[int, int, int] | None
    num_compared: int


def near_pairs(hashes: NDArray[np.uint64], splits: NDArray[np.str_], threshold: int = THRESHOLD) -> NearPairs:
    """Compare all hashes with each other; of more than :data:`MOST_COMPARED`, so many drawn at random.

    The threshold was set on 60 images of the study's data: encoded again (JPEG, quality 30), halved in size, made
    brighter by a fifth or flatter in contrast, an image keeps all but 14 of the 256 bits; cropped by 1 % on each side
    all but 26. Different images of the data differ in at least 36.

    Args:
        hashes: uint64 [images, words].
        splits: str [images], split of each image.
        threshold: number of bits that may differ.
    """
    compared = np.arange(len(hashes))
    if len(hashes) > MOST_COMPARED:
        compared = np.sort(np.random.default_rng(0).choice(len(hashes), MOST_COMPARED, replace=False))
    hashes, of_image = hashes[compared], splits[compared]
    num_pairs, num_crossing, nearest = 0, 0, None
    in_train = np.zeros(len(hashes), dtype=bool)
    closest: list[tuple[int, int, int]] = []
    for start in range(0, len(hashes) - 1, _ROWS_AT_ONCE):
        block = hashes[start : start + _ROWS_AT_ONCE, None]
        distances = np.bitwise_count(block ^ hashes[None, start:]).sum(axis=2, dtype=np.int64)
        distances[np.tril_indices(len(block), 0, distances.shape[1])] = 10**6  # each pair once, none with itself
        one, other = np.unravel_index(distances.argmin(), distances.shape)
        least = int(distances[one, other])
        if nearest is None or least < nearest[2]:
            nearest = (start + int(one), start + int(other), least)
        near = np.argwhere(distances <= threshold)
        pairs = start + near
        num_pairs += len(near)
        num_crossing += int((of_image[pairs[:, 0]] != of_image[pairs[:, 1]]).sum())
        for here, there in (pairs.T, pairs.T[::-1]):
            in_train[here[of_image[there] == "train"]] = True
        kept = np.argsort(distances[*near.T], kind="stable")[:_MOST_PAIRS]
        closest += [(*map(int, pairs[i]), int(distances[*near[i]])) for i in kept]  # type: ignore[misc]
        closest = sorted(closest, key=lambda pair: pair[2])[:_MOST_PAIRS]
    whole = [(int(compared[one]), int(compared[other]), distance) for one, other, distance in closest]
    nearest = nearest and (int(compared[nearest[0]]), int(compared[nearest[1]]), nearest[2])
    num_in_train = {split: int((in_train & (of_image == split)).sum()) for split in ("val", "test")}
    return NearPairs(num_pairs, num_crossing, num_in_train, whole, nearest, len(compared))

"""Images that are nearly the same, by their perceptual hashes."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 24  # of 256 bits; see near_pairs
MOST_COMPARED = 40_000  # images: half a minute on one core, and four times as long for twice as many
_ROWS_AT_ONCE = 128
_MOST_GATHERED = 2_000_000  # pairs, 24 bytes each
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


class NearBlock(NamedTuple):
    """What comparing some hashes with all others gave, whatever their splits.

    Attributes:
        pairs: int64 [pairs, 2], positions among the hashes that are compared.
        distances: int64 [pairs], bits in which they differ.
        nearest: the closest two, near or not.
    """

    pairs: NDArray[np.int64]
    distances: NDArray[np.int64]
    nearest: tuple[int, int, int]


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
    return count_near(near_blocks(hashes, threshold), splits)


def near_blocks(hashes: NDArray[np.uint64], threshold: int = THRESHOLD) -> Iterator[NearBlock]:
    """Yield the pairs of :func:`near_pairs`, a part at a time: of images that are all alike there are very many."""
    hashes = hashes[_compared(len(hashes))]
    for start in range(0, len(hashes) - 1, _ROWS_AT_ONCE):
        block = hashes[start : start + _ROWS_AT_ONCE, None]
        distances = np.bitwise_count(block ^ hashes[None, start:]).sum(axis=2, dtype=np.int64)
        distances[np.tril_indices(len(block), 0, distances.shape[1])] = 10**6  # each pair once, none with itself
        one, other = np.unravel_index(distances.argmin(), distances.shape)
        nearest = (start + int(one), start + int(other), int(distances[one, other]))
        near = np.argwhere(distances <= threshold)
        yield NearBlock(start + near, distances[*near.T], nearest)


def nearest_distances(hashes: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return in how many bits each hash differs from the nearest of others, int64 [hashes].

    Args:
        hashes: uint64 [hashes, words].
        others: uint64 [others, words], at least one.
    """
    nearest = np.empty(len(hashes), np.int64)
    for start in range(0, len(hashes), _ROWS_AT_ONCE):
        block = hashes[start : start + _ROWS_AT_ONCE, None]
        distances = np.bitwise_count(block ^ others[None]).sum(axis=2, dtype=np.int64)
        nearest[start : start + _ROWS_AT_ONCE] = distances.min(axis=1)
    return nearest


def gather_blocks(hashes: NDArray[np.uint64]) -> list[NearBlock] | None:
    """Return what :func:`near_blocks` yields, to count it for several splits; None where it is too much to keep."""
    blocks, num_pairs = [], 0
    for block in near_blocks(hashes):
        blocks.append(block)
        num_pairs += len(block.pairs)
        if num_pairs > _MOST_GATHERED:
            return None
    if not blocks:
        return []
    pairs, distances = (np.concatenate([block[part] for block in blocks]) for part in (0, 1))
    return [NearBlock(pairs, distances, min((block.nearest for block in blocks), key=lambda pair: pair[2]))]


def count_near(blocks: Iterable[NearBlock], splits: NDArray[np.str_]) -> NearPairs:
    """Count near pairs by the splits that they lie in.

    Args:
        blocks: the pairs.
        splits: str [images], split of each image; '' for one that no run sees.
    """
    compared = _compared(len(splits))
    of_image = splits[compared]
    num_pairs, num_crossing, nearest = 0, 0, None
    in_train = np.zeros(len(compared), dtype=bool)
    closest: list[tuple[int, int, int]] = []
    for pairs, distances, nearest_here in blocks:
        if nearest is None or nearest_here[2] < nearest[2]:
            nearest = nearest_here
        num_pairs += len(pairs)
        both = of_image[pairs]
        num_crossing += int(((both[:, 0] != both[:, 1]) & (both != "").all(axis=1)).sum())
        for here, there in (pairs.T, pairs.T[::-1]):
            in_train[here[of_image[there] == "train"]] = True
        kept = np.argsort(distances, kind="stable")[:_MOST_PAIRS]
        closest += [(*map(int, pairs[i]), int(distances[i])) for i in kept]  # type: ignore[misc]
        closest = sorted(closest, key=lambda pair: pair[2])[:_MOST_PAIRS]
    whole = [(int(compared[one]), int(compared[other]), distance) for one, other, distance in closest]
    nearest = nearest and (int(compared[nearest[0]]), int(compared[nearest[1]]), nearest[2])
    num_in_train = {split: int((in_train & (of_image == split)).sum()) for split in ("val", "test")}
    return NearPairs(num_pairs, num_crossing, num_in_train, whole, nearest, len(compared))


def _compared(num_images: int) -> NDArray[np.int64]:
    """Return the positions of the images that are compared."""
    if num_images <= MOST_COMPARED:
        return np.arange(num_images)
    return np.sort(np.random.default_rng(0).choice(num_images, MOST_COMPARED, replace=False))

"""The exact matrix of inner products of all images of a store, built once and kept beside it.

Pixels are whole numbers, so their inner products can be computed without any rounding: ``x - 128`` fits into int8,
and its products are summed exactly either in int32 (over at most 2^16 pixels at a time) or in float32 (over 2^10:
no partial sum exceeds 2^24). Which of the two is faster depends on the processor, so both are tried on a small piece.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxr_runner.artifacts import clear_temporaries, replacing
from cxr_runner.errors import UserError
from cxr_runner.gram.exact import fastest
from cxr_runner.integrity import is_sealed, seal
from cxr_runner.locks import alone
from cxr_runner.progress import Reporter

_PIXELS_AT_ONCE = 8192  # columns converted at a time: 200 MB of float32 for 6,000 images
_ROWS_AT_ONCE = 1024
_SEAL = "Gram matrix"
_EXACT_IN_FLOAT32 = 1024  # 1024 * 128 * 128 = 2^24


def open_gram_matrix(images: NDArray[np.uint8], store: Path, reporter: Reporter) -> NDArray[np.float64]:
    """Open the matrix of a store, building it first where it is missing.

    Args:
        images: uint8 [images, side, side].
        store: the store's folder, where the matrix is kept.
        reporter: shown the progress of a build.

    Returns:
        float64 [images, images], mapped from a file: inner products of raw pixels (0 to 255), exact whole numbers.
    """
    path = store / "gram.npy"
    matrix = _read(path, images)
    if matrix is not None:
        return matrix
    try:
        with alone(store / "gram.lock", "computes the same Gram matrix", reporter):
            if (matrix := _read(path, images)) is None:  # another process may have built it while we waited
                clear_temporaries(store)
                matrix = gram_matrix(images, reporter)
                with replacing(path) as temporary:
                    np.save(temporary, matrix)
                    seal(temporary, _SEAL)
    except OSError as error:
        reason = error.strerror or f"no room, {error}"  # NumPy's own error, of a write that came to an end
        valid = f"the Gram matrix cannot be kept here ({reason}); engine=pixel does without"
        raise UserError.for_key("CXR_CACHE", store, valid) from error
    return matrix


def _read(path: Path, images: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """Open a matrix; None where it is missing or damaged, or where a sample of it is not what the images give."""
    try:
        if not is_sealed(path, _SEAL):
            return None
        matrix: NDArray[np.float64] = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    rows = np.unique(np.linspace(0, len(images) - 1, 16, dtype=int))
    sample = images[rows].reshape(len(rows), -1).astype(np.float64)
    if matrix.shape != (len(images),) * 2 or not np.array_equal(matrix[np.ix_(rows, rows)], sample @ sample.T):
        return None
    return matrix


def gram_matrix(images: NDArray[np.uint8], reporter: Reporter) -> NDArray[np.float64]:
    """Compute all inner products of images.

    Args:
        images: uint8 [images, ...].
        reporter: shown the progress.

    Returns:
        float64 [images, images], exact.
    """
    pixels = torch.from_numpy(images.reshape(len(images), -1))
    num_images, num_pixels = pixels.shape
    shifted = torch.zeros(num_images, num_images, dtype=torch.float64)  # products of x - 128, lower triangle
    sums = torch.zeros(num_images, dtype=torch.float64)
    starts = range(0, num_pixels, _PIXELS_AT_ONCE)
    multiply = _fastest_product(pixels)
    with reporter.steps("Gram matrix", len(starts)) as advance:
        for start in starts:
            chunk = pixels[:, start : start + _PIXELS_AT_ONCE].contiguous()
            sums += chunk.sum(dim=1, dtype=torch.int64)
            multiply(chunk ^ 128, shifted)
            advance()
    shifted = shifted.tril() + shifted.tril(-1).T
    # x.y = (x - 128).(y - 128) + 128 sum(x) + 128 sum(y) - 128^2 * pixels
    return (shifted + 128 * (sums[:, None] + sums[None, :]) - 128.0**2 * num_pixels).numpy()


def _fastest_product(pixels: Tensor) -> Callable[[Tensor, Tensor], None]:
    """Choose between the exact ways; they give the same numbers."""
    piece = pixels[:256, :_PIXELS_AT_ONCE].contiguous() ^ 128
    total = torch.zeros(len(piece), len(piece), dtype=torch.float64)
    ways = (_add_products_float32, _add_products_int8)
    return ways[fastest([partial(way, piece, total) for way in ways])]


def _add_products_float32(flipped: Tensor, total: Tensor) -> None:
    """Add the products of a chunk, uint8 ``x ^ 128`` (as int8 it reads ``x - 128``), to the lower triangle."""
    values = flipped.view(torch.int8).float()
    for piece in values.split(_EXACT_IN_FLOAT32, dim=1):  # type: ignore[no-untyped-call]
        for start in range(0, len(piece), _ROWS_AT_ONCE):
            end = start + _ROWS_AT_ONCE
            total[start:end, :end] += piece[start:end] @ piece[:end].T


def _add_products_int8(flipped: Tensor, total: Tensor) -> None:
    """As :func:`_add_products_float32`, in int8 with int32 sums."""
    values = flipped.view(torch.int8)
    for start in range(0, len(values), _ROWS_AT_ONCE):
        end = start + _ROWS_AT_ONCE
        total[start:end, :end] += torch._int_mm(values[start:end], values[:end].T)

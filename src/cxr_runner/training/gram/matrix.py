"""The exact matrix of inner products of all images of a store, built once and kept beside it.

Pixels are whole numbers, and so are their inner products: they are computed without any rounding, see
:mod:`cxr_runner.training.gram.exact`, and a GPU gives the same file as a CPU.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cxr_runner.base.checksums import append_checksum, has_checksum
from cxr_runner.base.errors import RunFailedError, UserError
from cxr_runner.base.files import clear_temporaries, replacing
from cxr_runner.base.locks import hold_lock
from cxr_runner.base.progress import Reporter
from cxr_runner.training.gram.exact import pair_products

_PIXELS_AT_ONCE = 8192  # columns converted at a time: 200 MB of float32 for 6,000 images
_PIECE = 256  # images that the methods are tried on
_ABOUT = "Gram matrix"


def open_gram_matrix(
    images: NDArray[np.uint8], store: Path, reporter: Reporter, device: torch.device, *, pixel_engine: bool = True
) -> NDArray[np.float64]:
    """Open the matrix of a store, building it first where it is missing.

    Args:
        images: uint8 [images, side, side].
        store: the store's folder, where the matrix is kept.
        reporter: shown the progress of a build.
        device: where a build computes; it makes no difference to the numbers.
        pixel_engine: whether what needs the matrix can be trained on pixels instead, which errors then name.

    Returns:
        float64 [images, images], mapped from a file: inner products of raw pixels (0 to 255), exact whole numbers.

    Raises:
        UserError: the matrix cannot be written.
        RunFailedError: the device computes wrong products.
    """
    path = store / "gram.npy"
    matrix = _read(path, images)
    if matrix is not None:
        return matrix
    try:
        with hold_lock(store / "gram.lock", "computes the same Gram matrix", reporter):
            if (matrix := _read(path, images)) is None:  # another process may have built it while we waited
                clear_temporaries(store)
                matrix = gram_matrix(images, reporter, device)
                if not _fits(matrix, images):
                    raise _wrong_products(device, pixel_engine=pixel_engine)
                with replacing(path) as temporary:
                    np.save(temporary, matrix)
                    append_checksum(temporary, _ABOUT)
                matrix = _map(path)
    except OSError as error:
        reason = error.strerror or f"no room, {error}"  # NumPy's error for a write that was cut short
        instead = "engine=pixel does without" if pixel_engine else "name another folder"
        valid = f"the Gram matrix cannot be kept here ({reason}); {instead}"
        raise UserError.for_key("CXR_CACHE", store, valid) from error
    return matrix


def _wrong_products(device: torch.device, *, pixel_engine: bool) -> RunFailedError:
    reason = f"{device} gives wrong products of whole numbers: its Gram matrix is not that of the images"
    ways = ["device=cpu"] * (device.type != "cpu") + ["engine=pixel"] * pixel_engine
    instead = f"; {' and '.join(ways)} {'does' if len(ways) == 1 else 'do'} without" if ways else ""
    return RunFailedError(f"{reason}{instead}")


def _read(path: Path, images: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """Open a matrix; None where it is missing or damaged, or where a sample of it is not what the images give."""
    try:
        if not has_checksum(path, _ABOUT):
            return None
        matrix = _map(path)
    except (OSError, ValueError, EOFError):
        return None
    return matrix if _fits(matrix, images) else None


def _map(path: Path) -> NDArray[np.float64]:
    """Map a matrix into memory, copy on write: torch wants memory that may be written to."""
    matrix: NDArray[np.float64] = np.load(path, mmap_mode="c")
    return matrix


def _fits(matrix: NDArray[np.float64], images: NDArray[np.uint8]) -> bool:
    """Whether a sample of a matrix is what the images give, computed anew on the CPU."""
    rows = np.unique(np.linspace(0, len(images) - 1, 16, dtype=int))
    sample = images[rows].reshape(len(rows), -1).astype(np.float64)
    return matrix.shape == (len(images),) * 2 and np.array_equal(matrix[np.ix_(rows, rows)], sample @ sample.T)


def gram_matrix(images: NDArray[np.uint8], reporter: Reporter, device: torch.device) -> NDArray[np.float64]:
    """Compute all inner products of images.

    Args:
        images: uint8 [images, ...].
        reporter: shown the progress.
        device: where to compute.

    Returns:
        float64 [images, images], exact.
    """
    pixels = torch.from_numpy(images.reshape(len(images), -1))
    num_images, num_pixels = pixels.shape
    shifted = torch.zeros(num_images, num_images, dtype=torch.float64, device=device)  # of x - 128, lower triangle
    sums = torch.zeros(num_images, dtype=torch.float64, device=device)
    starts = range(0, num_pixels, _PIXELS_AT_ONCE)
    add_products = pair_products((min(_PIECE, num_images), min(_PIXELS_AT_ONCE, num_pixels)), device)
    with reporter.steps("Gram matrix", len(starts)) as advance:
        for start in starts:
            chunk = pixels[:, start : start + _PIXELS_AT_ONCE].contiguous().to(device)
            sums += chunk.sum(dim=1, dtype=torch.int64)
            add_products(chunk ^ 128, shifted)
            advance()
    shifted = shifted.tril() + shifted.tril(-1).T
    # x.y = (x - 128).(y - 128) + 128 sum(x) + 128 sum(y) - 128^2 * pixels
    return (shifted + 128 * (sums[:, None] + sums[None, :]) - 128.0**2 * num_pixels).cpu().numpy()

"""Small drawn sets of images that are easily read wrongly: other bits, layouts, names and copies than usual."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES = ("NORMAL", "PNEUMONIA")
SIDE = 48


def drawn(seed: int, label: int = 0, side: int = SIDE) -> NDArray[np.float64]:
    """Draw a chest: dark air around, two dark lungs in a bright body, and noise; float [side, side] in [0, 1]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side
    body = ((x - 0.5) / 0.42) ** 2 + ((y - 0.55) / 0.5) ** 2 < 1
    lungs = np.minimum(((x - 0.32) / 0.13) ** 2, ((x - 0.68) / 0.13) ** 2) + ((y - 0.5) / 0.3) ** 2 < 1
    coarse = Image.fromarray(rng.random((7, 7)).astype(np.float32)).resize((side, side))
    picture = 0.05 + 0.5 * body - (0.35 - 0.15 * label) * (lungs & body) + 0.4 * np.asarray(coarse)
    return np.clip(picture + 0.03 * rng.standard_normal((side, side)), 0, 1)


def save(path: Path, picture: NDArray[np.float64], bits: int = 8, **options: object) -> None:
    """Write a picture with 8 bits a pixel, or with 16 of which ``bits`` are used."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.rint(picture * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    Image.fromarray(values).save(path, **options)


def plant(root: Path, folders: Iterable[str], each: int = 20, name: str = "{n:04d}.png", first: int = 0) -> Path:
    """Write ``each`` images into every folder; whose last part is a class."""
    for position, folder in enumerate(folders):
        label = int("NORMAL" not in folder.upper())
        for n in range(each):
            seed = first + 1000 * position + n
            save(root / folder / name.format(n=n, seed=seed), drawn(seed, label))
    return root


def both(*splits: str) -> list[str]:
    """Return the folders of both classes in each split, or of the classes alone."""
    return [f"{split}/{name}" for split in splits for name in CLASSES] if splits else list(CLASSES)


def with_bits(root: Path, bits: tuple[int, int], each: int = 20) -> Path:
    """Write two classes, each with its number of bits."""
    for label, (name, depth) in enumerate(zip(CLASSES, bits, strict=True)):
        for n in range(each):
            save(root / name / f"{n:04d}.png", drawn(1000 * label + n, label), depth)
    return root


def changed(root: Path, names: Iterable[str], change: Callable[[Image.Image], Image.Image]) -> None:
    """Replace images by what is made of them."""
    for name in names:
        with Image.open(root / name) as image:
            change(image).save(root / name)

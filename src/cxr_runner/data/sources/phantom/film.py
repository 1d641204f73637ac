"""How an invented chest becomes a radiograph: pose, attenuation, exposure and noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from cxr_runner.data.sources.phantom.anatomy import Anatomy, Floats, Opacities, Plane, Strokes

SIZE = 640
_HALF = SIZE // 2
_COARSE = 8
_PIVOT = (0.0, 0.44)
_MAGNIFICATION = 1.22


@dataclass(frozen=True)
class Exposure:
    """What differs between two images of one patient.

    Attributes:
        angle: rotation in radians.
        scale: magnification, about 1.
        shift: displacement (2,) as a share of the film.
        gain: contrast, about 1.
        gamma: bend of the tone curve, about 1.
        offset: brightness added, in grey values from 0 to 1.
        breath: relative amount of air in the lungs, about 1.
        field: slow unevenness (cells, cells) in units of attenuation.
        noise: standard deviation of the sensor's noise in grey values from 0 to 1.
    """

    angle: float
    scale: float
    shift: Floats
    gain: float
    gamma: float
    offset: float
    breath: float
    field: Plane
    noise: float


def upsample(plane: Plane, size: int) -> Plane:
    """Return a small plane (h, w) smoothly enlarged to (size, size)."""
    image = Image.fromarray(plane).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float32)


class _Light:
    """Draws outlines of the patient's frame on images of half the film's size, at the exposure's pose."""

    def __init__(self, exposure: Exposure) -> None:
        cos, sin = np.cos(exposure.angle), np.sin(exposure.angle)
        self._turn = np.array([[cos, sin], [-sin, cos]]) * (_MAGNIFICATION * exposure.scale)
        self._centre = 0.5 + exposure.shift
        self._scale = _MAGNIFICATION * exposure.scale

    def project(self, points: Floats) -> Floats:
        """Return points (..., 2) of the patient's frame in shares of the film."""
        projected: Floats = (points - _PIVOT) @ self._turn + self._centre
        return projected

    def fill(self, *outlines: Floats, value: float = 1.0) -> Image.Image:
        """Draw closed outlines, each (points, 2)."""
        image = Image.new("L", (SIZE, SIZE))
        pencil = ImageDraw.Draw(image)
        for outline in outlines:
            pencil.polygon((self.project(outline) * SIZE).ravel().tolist(), fill=round(255 * value))
        return image.reduce(2)

    def stroke(self, strokes: Strokes, value: float = 1.0, marrow: float = 1.0) -> Image.Image:
        """Draw polylines; with ``marrow`` below 1 their inside is that much fainter than their edges."""
        image = Image.new("L", (SIZE, SIZE))
        pencil = ImageDraw.Draw(image)
        lines = (self.project(strokes.points) * SIZE).reshape(len(strokes.widths), -1).tolist()
        pixels = np.maximum(1, np.rint(strokes.widths * self._scale * SIZE)).astype(int).tolist()
        for line, width in zip(lines, pixels, strict=True):
            pencil.line(line, fill=round(255 * value), width=width)
            if marrow < 1.0:
                pencil.line(line, fill=round(255 * value * marrow), width=max(1, width - 5))
        return image.reduce(2)

    def spots(self, opacities: Opacities) -> Plane:
        """Return the share of air (320, 320) that the opacities replace, frayed by their texture."""
        cells = _HALF // 4
        axis = ((np.arange(cells) + 0.5) / cells)[:, None]
        texture = upsample(opacities.texture, cells)
        plane = np.zeros((cells, cells))
        for centre, radius, strength in zip(
            self.project(opacities.centres), opacities.radii * self._scale, opacities.strengths, strict=True
        ):
            across, down = (((axis - centre) / radius) ** 2).T
            distance = np.sqrt(across[None, :] + down[:, None])
            inside = np.clip(1.15 - 0.9 * distance + 0.09 * texture, 0.0, 1.0)
            plane = np.maximum(plane, strength * inside**2 * (3.0 - 2.0 * inside))
        mottled = (plane * (1.0 + 0.1 * texture)).astype(np.float32)
        share: Plane = np.clip(upsample(mottled, _HALF), 0.0, 0.92)
        return share


def _soften(image: Image.Image, blur: int) -> Plane:
    """Return a drawing (320, 320) as a plane from 0 to 1, softened by ``blur`` pixels."""
    if blur < _COARSE:
        soft = image.filter(ImageFilter.BoxBlur(blur))
    else:
        soft = image.reduce(_COARSE).filter(ImageFilter.GaussianBlur(blur / _COARSE))
        soft = soft.resize((_HALF, _HALF), Image.Resampling.BICUBIC)
    return np.asarray(soft, dtype=np.float32) * np.float32(1 / 255)


def _bones(anatomy: Anatomy, light: _Light) -> tuple[Plane, Plane]:
    """Return the skeleton's attenuation: the ribs, and all other bones."""
    ribs = ImageChops.add(
        light.stroke(anatomy.ribs_behind, 0.5, marrow=0.6),
        light.stroke(anatomy.ribs_before, 0.33, marrow=0.65),
    )
    others = ImageChops.add(light.fill(*anatomy.vertebrae, value=0.36), light.fill(*anatomy.scapulae, value=0.14))
    others = ImageChops.add(others, light.stroke(anatomy.clavicles, 0.5, marrow=0.65))
    return np.float32(0.26) * _soften(ribs, 1), np.float32(0.26) * _soften(others, 2)


def _attenuation(anatomy: Anatomy, opacities: Opacities | None, exposure: Exposure) -> Plane:
    """Sum what attenuates the rays, as (320, 320); the weights are chosen by eye."""
    light = _Light(exposure)
    bone, heart, vessel = anatomy.density.tolist()
    outline, chest = light.fill(anatomy.body), light.fill(*anatomy.lungs)
    body, air, depth = _soften(outline, 2), _soften(chest, 2), _soften(chest, 12)
    air *= 1.0 - (0.72 * heart) * _soften(light.fill(anatomy.heart), 2)
    ribs, bones = _bones(anatomy, light)
    gas = ImageChops.add(light.stroke(anatomy.trachea, 0.8), light.fill(anatomy.bubble))
    total: Plane = body * (0.16 + 0.6 * _soften(outline, 48) + bone * (bones + ribs * (0.3 + 0.7 * depth)))
    vessels = (0.1 * vessel) * air * _soften(light.stroke(anatomy.vessels), 1)
    air *= exposure.breath * (0.16 + 0.43 * depth)
    if opacities is not None:
        consolidated = light.spots(opacities)
        air *= 1.0 - consolidated
        # Vessels vanish in a consolidation as dense as they are; the bronchi beside them keep their air.
        vessels *= 1.0 - 1.3 * consolidated
    total += vessels - air - 0.1 * _soften(gas, 3)
    return total


def expose(
    anatomy: Anatomy, opacities: Opacities | None, exposure: Exposure, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Take one radiograph.

    Args:
        anatomy: anatomy of the patient.
        opacities: opacities of the pneumonia, or None in a healthy chest.
        exposure: pose and exposure of this image.
        rng: generator of the sensor's noise.

    Returns:
        uint8 array (640, 640), 0 black to 255 white.
    """
    total = _attenuation(anatomy, opacities, exposure) + upsample(exposure.field, _HALF)
    tone = np.tanh(np.clip(total, 0.0, None) ** exposure.gamma * (0.95 * exposure.gain))
    grey = upsample(tone * np.float32(255.0) + np.float32(255.0 * exposure.offset), SIZE)
    grain = rng.random((SIZE, SIZE), dtype=np.float32)
    grain -= 0.5
    grain *= np.float32(255.0 * 12**0.5 * exposure.noise)  # a uniform variable of width w has deviation w / sqrt(12)
    grain += grey
    return np.clip(grain, 0, 255, out=grain).astype(np.uint8)

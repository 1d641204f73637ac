"""Invented chests: the outlines that one random generator draws for one patient.

Everything is additive attenuation, as on a film: organs are outlines that are filled, softened and summed, and
the sum goes through a tone curve. Outlines live in the patient's frame: x to the viewer's right with 0 on the
midline (the patient's left is the viewer's right), y downwards; the film spans about -0.4 to 0.4 and 0 to 0.85.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Plane = NDArray[np.float32]
# fmt: off
_BODY = [
    (0.08, -0.1), (0.085, 0.04), (0.13, 0.085), (0.3, 0.12), (0.46, 0.17), (0.62, 0.26), (0.56, 0.4),
    (0.455, 0.47), (0.44, 0.6), (0.45, 0.8), (0.46, 1.15),
]
_LUNG = [
    (0.1, 0.125), (0.165, 0.14), (0.235, 0.215), (0.29, 0.33), (0.325, 0.47), (0.345, 0.61), (0.35, 0.7),
    (0.347, 0.765), (0.343, 0.765), (0.29, 0.705), (0.2, 0.68), (0.11, 0.7), (0.055, 0.735), (0.045, 0.6),
    (0.045, 0.42), (0.04, 0.28), (0.055, 0.17),
]
_HEART = [
    (-0.045, 0.25), (0.05, 0.27), (0.078, 0.31), (0.07, 0.365), (0.085, 0.42), (0.135, 0.51), (0.195, 0.61),
    (0.225, 0.69), (0.205, 0.75), (0.08, 0.79), (-0.05, 0.77), (-0.095, 0.7), (-0.108, 0.61), (-0.09, 0.53),
    (-0.055, 0.46), (-0.052, 0.36),
]
_CLAVICLE = [(0.035, 0.205), (0.09, 0.18), (0.17, 0.165), (0.25, 0.13), (0.34, 0.105)]
_SCAPULA = [(0.33, 0.14), (0.27, 0.2), (0.29, 0.3), (0.345, 0.42), (0.42, 0.34), (0.5, 0.22), (0.46, 0.12)]
_TRACHEA = [(0.0, -0.05), (0.004, 0.2), (-0.002, 0.36)]


# fmt: on
_RIGHT, _LEFT = -1.0, 1.0


class Strokes(NamedTuple):
    """Polylines: points (lines, points a line, 2) in the patient's frame; widths (lines,) in its unit."""

    points: Floats
    widths: Floats


@dataclass(frozen=True)
class Anatomy:
    """The chest of one invented patient, the same on each of their images.

    Attributes:
        body, heart, lungs, scapulae, bubble: closed outlines, each (n, 2); the bubble is the stomach's gas.
        ribs_behind, ribs_before, clavicles, trachea: strokes.
        vessels: strokes that may leave the lungs; whoever draws them cuts them there.
        vertebrae: their outlines, (n, 4, 2).
        density: attenuation of bone, heart and vessels relative to the average patient, about 1.
    """

    body: Floats
    heart: Floats
    lungs: tuple[Floats, Floats]
    scapulae: tuple[Floats, Floats]
    ribs_behind: Strokes
    ribs_before: Strokes
    clavicles: Strokes
    trachea: Strokes
    vessels: Strokes
    vertebrae: Floats
    bubble: Floats
    density: Floats


@dataclass(frozen=True)
class Opacities:
    """Where pneumonia whitens the lungs.

    Attributes:
        centres: (n, 2) in the patient's frame.
        radii: (n, 2), x and y radius in the patient's frame.
        strengths: share of the air that each replaces at its centre, (n,); more than 1 widens the core.
        texture: small noise (cells, cells) that frays the edges and mottles the inside.
    """

    centres: Floats
    radii: Floats
    strengths: Floats
    texture: Plane


def _curve(points: Floats, closed: bool, steps: int = 8) -> Floats:
    """Return the Catmull-Rom curve through ``points`` (n, 2), ``steps`` points a segment."""
    if closed:
        padded = np.concatenate([points[-1:], points, points[:2]])
    else:
        padded = np.concatenate([points[:1], points, points[-1:]])
    before, start, end, after = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = (np.arange(steps) / steps)[:, None, None]
    curve = start + 0.5 * t * (
        end - before + t * (2 * before - 5 * start + 4 * end - after + t * (3 * (start - end) + after - before))
    )
    flat = curve.transpose(1, 0, 2).reshape(-1, 2)
    return flat if closed else np.concatenate([flat, points[-1:]])


def _wobble(rng: np.random.Generator, points: object, scale: float) -> Floats:
    """Return the control points moved at random by about ``scale``, as (n, 2)."""
    fixed = np.array(points, dtype=np.float64)
    return fixed + rng.normal(0.0, scale, fixed.shape)


def _ribs(rng: np.random.Generator, width: float) -> tuple[Strokes, Strokes]:
    """Draw nine pairs of ribs from behind, and the five whose anterior arcs cross the lungs."""
    t = np.linspace(0.0, 1.0, 14)
    slope, spacing = rng.normal(0.1, 0.018), rng.normal(0.068, 0.002)
    top = (0.135 + spacing * np.arange(9) + rng.normal(0.0, 0.002, 9))[:, None]
    reach = width * np.interp(top + slope, [0.1, 0.2, 0.35, 0.5, 0.9], [0.13, 0.215, 0.31, 0.355, 0.37])
    arch = 0.022 * np.sin(np.pi * np.minimum(1.6 * t, 1.0))
    behind = 0.03 + (reach - 0.03) * np.sin(t * np.pi / 2), top - arch + slope * t**2.2
    before = (
        reach - (reach - 0.15) * (1 - np.cos(t * np.pi / 2)) ** 0.8,
        top + slope + (0.1 + 0.5 * slope) * np.sin(t * np.pi / 2) * (1 - 0.18 * t),
    )

    def both_sides(arc: tuple[Floats, Floats], thickness: float) -> Strokes:
        points = np.stack(arc, axis=2)
        return Strokes(np.concatenate([points * [_RIGHT, 1.0], points]), np.full(2 * len(points), thickness))

    return both_sides(behind, 0.021), both_sides((before[0][:5], before[1][:5]), 0.024)


def _vessels(rng: np.random.Generator) -> Strokes:
    """Grow one tree of vessels from each hilum, thinner at every fork."""
    angle = np.tile([-1.2, -0.5, 0.1, 0.65, 1.15], 2) + rng.normal(0.0, 0.12, 10)
    side = np.repeat([_RIGHT, _LEFT], 5)
    start = np.stack([0.07 * side, np.full(10, 0.425)], axis=1) + rng.normal(0.0, 0.014, (10, 2))
    length, width = 0.08, 0.017
    lines, widths = [], []
    for _ in range(4):
        bend = angle + rng.normal(0.0, 0.25, angle.size)
        reach = length * rng.uniform(0.6, 1.4, (angle.size, 1))
        middle = start + 0.5 * reach * np.stack([side * np.cos(angle), np.sin(angle)], axis=1)
        end = middle + 0.5 * reach * np.stack([side * np.cos(bend), np.sin(bend)], axis=1)
        lines.append(np.stack([start, middle, end], axis=1))
        widths.append(np.full(angle.size, width))
        fork = rng.uniform(0.12, 0.5, bend.size)
        angle = np.concatenate([bend + fork, bend - rng.uniform(0.6, 1.2, bend.size) * fork])
        start, side = np.concatenate([end, end]), np.concatenate([side, side])
        length, width = 0.8 * length, 0.62 * width
    return Strokes(np.concatenate(lines), np.concatenate(widths))


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Invent a patient; the label has no say in it.

    Args:
        rng: generator of the patient.
    """
    width, height = rng.normal(1.0, 0.035), rng.normal(1.0, 0.035)
    stretch = np.array([width, 1.0])

    def lung(side: float) -> Floats:
        points = _wobble(rng, _LUNG, 0.003)
        lower = np.clip((points[:, 1] - 0.3) / 0.4, 0.0, 1.0)
        points[:, 1] += lower * (0.45 * (height - 1.0) + (0.025 if side == _LEFT else 0.0))
        return _curve(points * stretch * [side, 1.0], closed=True)

    half = _wobble(rng, _BODY, 0.005) * stretch
    body = np.concatenate([_curve(half, closed=False), _curve(half * [-1.0, 1.0], closed=False)[::-1]])
    heart = _wobble(rng, _HEART, 0.003)
    heart[:, 0] *= rng.normal(1.0, 0.09)
    heart[:, 1] += np.clip((heart[:, 1] - 0.3) / 0.4, 0.0, 1.0) * 0.45 * (height - 1.0)
    behind, before = _ribs(rng, width)
    scapula = _wobble(rng, _SCAPULA, 0.008)
    clavicle = _curve(_wobble(rng, _CLAVICLE, 0.005), closed=False)
    tops = np.arange(0.02, 1.0, 0.058) + rng.normal(0.0, 0.001)
    vertebrae = np.stack([np.zeros_like(tops), tops], axis=1)[:, None] + [
        [-0.034, 0.0],
        [0.034, 0.0],
        [0.034, 0.043],
        [-0.034, 0.043],
    ]
    turn = np.linspace(0.0, 2 * np.pi, 24)
    bubble = np.stack([np.cos(turn), np.sin(turn)], axis=1) * rng.uniform([0.04, 0.018], [0.075, 0.035])
    return Anatomy(
        body=body,
        heart=_curve(heart, closed=True),
        lungs=(lung(_RIGHT), lung(_LEFT)),
        scapulae=(_curve(scapula * [-1.0, 1.0], closed=True), _curve(scapula, closed=True)),
        ribs_behind=behind,
        ribs_before=before,
        clavicles=Strokes(np.stack([clavicle * [_RIGHT, 1.0], clavicle]), np.full(2, 0.024)),
        trachea=Strokes(_curve(_wobble(rng, _TRACHEA, 0.003), closed=False)[None], np.array([0.034])),
        vessels=_vessels(rng),
        vertebrae=vertebrae,
        bubble=bubble + np.array([0.17, 0.815]),
        density=np.clip(rng.normal(1.0, [0.1, 0.06, 0.12]), 0.6, 1.4),
    )

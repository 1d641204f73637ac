"""The page of an audit: one file that needs nothing else and asks nobody for anything."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_runner.audit.audit import Audit
from cxr_runner.audit.charts import plot_baselines, plot_sizes
from cxr_runner.audit.duplicates import Pair
from cxr_runner.audit.images import Material
from cxr_runner.audit.scoring import Ends
from cxr_runner.audit.shortcuts import Baseline
from cxr_runner.base.html import template_environment
from cxr_runner.data.about import data_heading

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure


_NUM_SAMPLES = 10  # of each class
_NUM_PAIRS = 12
_NUM_GROUPS = 60
_THUMBNAIL = 112  # pixels to a side


@dataclass(frozen=True)
class Shown:
    """A picture with its words.

    Attributes:
        source: a data URI.
        alt: for who cannot see it.
        lines: below it.
    """

    source: str
    alt: str
    lines: tuple[str, ...]


def audit_page(audit: Audit, material: Material) -> str:
    """Return the page; every text in it is escaped."""
    template = template_environment("cxr_runner.audit").get_template("audit.html.jinja")
    shortcuts = audit.shortcuts
    return (
        template.render(
            audit=audit,
            heading=data_heading(material.about),
            about=material.about,
            balance=_balance(audit),
            samples=_samples(material),
            groups=_groups(audit, material),
            pairs=[_pair(pair, material) for pair in audit.duplicates.near[:_NUM_PAIRS]],
            nearest=[_pair(audit.duplicates.nearest, material)] if audit.duplicates.nearest else [],
            sizes=drawing(plot_sizes(material.readable, material.class_names)) if audit.sizes.num_sizes > 1 else "",
            bars=drawing(plot_baselines(shortcuts.baselines)) if shortcuts else "",
            baselines=[_baseline(baseline) for baseline in shortcuts.baselines] if shortcuts else [],
            num_groups=_NUM_GROUPS,
        )
        + "\n"
    )


def _balance(audit: Audit) -> list[list[str]]:
    """Return a row a split: its name, its images, and those of each class with their share."""
    rows = []
    for split, classes in audit.counts.items():
        total = sum(classes.values())
        cells = [f"{number:,} ({number / max(1, total):.1%})" for number in classes.values()]
        rows.append([split, f"{total:,}", *cells])
    return rows


def _samples(material: Material) -> dict[str, list[Shown]]:
    """Return images of each class, drawn by lot."""
    sheets = {}
    for label, name in enumerate(material.class_names):
        mine = material.readable[material.readable["label"] == label]
        mine = mine.sample(min(len(mine), _NUM_SAMPLES), random_state=0).sort_values("name")
        sheets[name] = [_shown(material, int(row), name) for row in mine.index]
    return sheets


def _shown(material: Material, row: int, what: str) -> Shown:
    entry = material.store.table.loc[row]
    file = str(entry["name"]).rsplit("/", 1)[-1]
    lines = (file, f"{entry['width']}x{entry['height']}")
    return Shown(thumbnail(material.store.images[row]), f"{what}: {entry['name']}", lines)


def _groups(audit: Audit, material: Material) -> list[Shown]:
    rows = dict(zip(material.store.table["name"], material.store.table.index, strict=True))
    shown = []
    for group in audit.duplicates.groups[:_NUM_GROUPS]:
        alt = f"One picture, {len(group.names)} times: {', '.join(group.names)}"
        kind = "identical files" if group.files else "identical pixels"
        labels = f"{kind}, {' and '.join(group.labels)}"
        shown.append(Shown(thumbnail(material.store.images[rows[group.names[0]]]), alt, (*group.names, labels)))
    return shown


def _pair(pair: Pair, material: Material) -> tuple[Shown, Shown, int]:
    sides = []
    for name, row, split, label in zip(pair.names, pair.rows, pair.splits, pair.labels, strict=True):
        lines = (name.rsplit("/", 1)[-1], f"{label}, {split or 'no split'}")
        sides.append(Shown(thumbnail(material.store.images[row]), name, lines))
    return sides[0], sides[1], pair.distance


def _baseline(baseline: Baseline) -> Mapping[str, Any]:
    own = baseline.own
    return {
        "words": baseline.words,
        "own": [
            (f"{own.accuracy:.3f}", _ends(own.accuracy_ends)),
            (f"{own.f1:.3f}", _ends(own.f1_ends)),
            (f"{own.auroc:.3f}", _ends(own.auroc_ends)),
        ],
        "others": [*_means(baseline.random), *_means(baseline.patient)],
    }


def _ends(ends: Ends | None) -> str:
    return f"{ends[0]:.3f} to {ends[1]:.3f}" if ends else ""


def _means(pairs: tuple[tuple[float, float], ...]) -> list[str]:
    if not pairs:
        return ["", ""]
    spread = f" ± {np.std([accuracy for accuracy, _ in pairs], ddof=1):.3f}" if len(pairs) > 1 else ""
    return [f"{mean(accuracy for accuracy, _ in pairs):.3f}{spread}", f"{mean(area for _, area in pairs):.3f}"]


def thumbnail(pixels: NDArray[np.uint8]) -> str:
    """Return a small JPEG of an image as a data URI."""
    picture = Image.fromarray(np.array(pixels))
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def drawing(figure: "Figure") -> str:
    """Return a figure as an SVG in a data URI."""
    from cxr_runner.plots.style import save_figure

    with TemporaryDirectory() as folder:
        path = Path(folder) / "figure.svg"
        save_figure(figure, path)
        return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}"

"""The page of an audit: one file that needs no other file and no network."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_runner.artifacts.levels import FEWEST
from cxr_runner.audit.audit import Audit
from cxr_runner.audit.charts import plot_baselines, plot_sizes
from cxr_runner.audit.class_columns import ClassColumn
from cxr_runner.audit.duplicates import Pair
from cxr_runner.audit.images import AuditedData
from cxr_runner.audit.scoring import Ends
from cxr_runner.audit.shortcuts import Baseline
from cxr_runner.base.html import template_environment
from cxr_runner.base.scratch import scratch_folder
from cxr_runner.data.inventory import list_inventory
from cxr_runner.data.sources import data_heading

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure


_NUM_SAMPLES = 10  # of each class
_NUM_PAIRS = 12
_NUM_GROUPS = 60
_THUMBNAIL = 112  # pixels to a side


@dataclass(frozen=True)
class Thumbnail:
    """A small image with its caption.

    Attributes:
        source: data URI of the image.
        alt: text for people who cannot see it.
        lines: lines of the caption.
    """

    source: str
    alt: str
    lines: tuple[str, ...]


def audit_page(audit: Audit, audited: AuditedData) -> str:
    """Return the page; every text in it is escaped."""
    template = template_environment("cxr_runner.audit").get_template("audit.html.jinja")
    nearest, shortcuts = audit.duplicates.nearest, audit.shortcuts
    page = template.render(
        audit=audit,
        heading=data_heading(audited.about),
        about=audited.about,
        balance=_balance(audit),
        subgroups=[(column, _column(column)) for column in audit.subgroups],
        pooled_bound=FEWEST,
        inventory=list_inventory(audit.inventory),
        samples=_samples(audited),
        groups=_groups(audit, audited),
        pairs=[_pair(pair, audited) for pair in audit.duplicates.near[:_NUM_PAIRS]],
        nearest=[_pair(nearest, audited)] if nearest else [],
        sizes=svg_uri(plot_sizes(audited.readable, audited.class_names)) if audit.sizes.num_sizes > 1 else "",
        bars=svg_uri(plot_baselines(shortcuts.baselines)) if shortcuts else "",
        baselines=[_baseline(baseline) for baseline in shortcuts.baselines] if shortcuts else [],
        num_groups=_NUM_GROUPS,
    )
    return page + "\n"


def _balance(audit: Audit) -> list[list[str]]:
    """Return one row a split: its name, its number of images, and those of each class with their share."""
    rows = []
    for split, classes in audit.counts.items():
        total = sum(classes.values())
        cells = [f"{number:,} ({number / max(1, total):.1%})" for number in classes.values()]
        rows.append([split, f"{total:,}", *cells])
    return rows


def _column(column: ClassColumn) -> list[list[str]]:
    """Return one row a value: its name, its images of each class with their share, and both classes by split."""
    return [
        [
            level.value,
            *(f"{number:,} ({level.shares[name]:.1%})" for name, number in level.images.items()),
            *(" / ".join(f"{number:,}" for number in classes.values()) for classes in level.counts.values()),
        ]
        for level in column.levels
    ]


def _samples(audited: AuditedData) -> dict[str, list[Thumbnail]]:
    """Return images of each class, drawn at random."""
    sheets = {}
    for label, name in enumerate(audited.class_names):
        in_class = audited.readable[audited.readable["label"] == label]
        drawn = in_class.sample(min(len(in_class), _NUM_SAMPLES), random_state=0).sort_values("name")
        sheets[name] = [_sample(audited, int(row), name) for row in drawn.index]
    return sheets


def _sample(audited: AuditedData, row: int, class_name: str) -> Thumbnail:
    entry = audited.store.table.loc[row]
    file = str(entry["name"]).rsplit("/", 1)[-1]
    lines = (file, f"{entry['width']}x{entry['height']}")
    return Thumbnail(jpeg_uri(audited.store.images[row]), f"{class_name}: {entry['name']}", lines)


def _groups(audit: Audit, audited: AuditedData) -> list[Thumbnail]:
    """Return one thumbnail for each group of identical images."""
    rows = dict(zip(audited.store.table["name"], audited.store.table.index, strict=True))
    thumbnails = []
    for group in audit.duplicates.groups[:_NUM_GROUPS]:
        alt = f"One image, {len(group.names)} times: {', '.join(group.names)}"
        kind = "identical files" if group.files else "identical pixels"
        labels = f"{kind}, {' and '.join(group.labels)}"
        thumbnails.append(Thumbnail(jpeg_uri(audited.store.images[rows[group.names[0]]]), alt, (*group.names, labels)))
    return thumbnails


def _pair(pair: Pair, audited: AuditedData) -> tuple[Thumbnail, Thumbnail, int]:
    """Return the thumbnails of a pair and the distance of their hashes, in bits."""
    sides = []
    for name, row, split, label in zip(pair.names, pair.rows, pair.splits, pair.labels, strict=True):
        lines = (name.rsplit("/", 1)[-1], f"{label}, {split or 'no split'}")
        sides.append(Thumbnail(jpeg_uri(audited.store.images[row]), name, lines))
    return sides[0], sides[1], pair.distance


def _baseline(baseline: Baseline) -> Mapping[str, Any]:
    """Return the texts of one row of the table of baselines."""
    score = baseline.score
    return {
        "words": baseline.words,
        "configured": [
            (f"{score.accuracy:.3f}", _ends(score.accuracy_ends)),
            (f"{score.f1:.3f}", _ends(score.f1_ends)),
            (f"{score.auroc:.3f}", _ends(score.auroc_ends)),
        ],
        "others": [*_means(baseline.random), *_means(baseline.patient)],
    }


def _ends(ends: Ends | None) -> str:
    return f"{ends[0]:.3f} to {ends[1]:.3f}" if ends else ""


def _means(pairs: tuple[tuple[float, float], ...]) -> list[str]:
    """Return the mean accuracy with its standard deviation and the mean AUROC; '' for both without any split."""
    if not pairs:
        return ["", ""]
    spread = f" ± {np.std([accuracy for accuracy, _ in pairs], ddof=1):.3f}" if len(pairs) > 1 else ""
    return [f"{mean(accuracy for accuracy, _ in pairs):.3f}{spread}", f"{mean(area for _, area in pairs):.3f}"]


def jpeg_uri(pixels: NDArray[np.uint8]) -> str:
    """Return an image, reduced to a thumbnail, as a JPEG in a data URI.

    Args:
        pixels: uint8 [height, width].
    """
    image = Image.fromarray(np.array(pixels))
    image.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def svg_uri(figure: "Figure") -> str:
    """Return a figure as an SVG in a data URI."""
    from cxr_runner.plots.style import save_figure

    with scratch_folder("cxr-audit-") as folder:
        path = folder / "figure.svg"
        save_figure(figure, path)
        return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}"

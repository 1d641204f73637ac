"""Runs that there are not, as data: where a report renders them, they become the command that makes them."""

from dataclasses import dataclass

PIXELS = "engine=pixel"  # where training times are compared: the study trains on pixels


@dataclass(frozen=True)
class Missing:
    """Runs that are missing.

    Attributes:
        rows: ids of the rows of the study.
        seeds: how many seeds of each; None for as many as the other runs of its family have.
        overrides: what differs from the rows' settings, as one writes it for ``cxr-run``.
        image_size: side of the images in pixels; None for that of the other runs of a row's family.
    """

    rows: tuple[str, ...]
    seeds: int | None = None
    overrides: tuple[str, ...] = ()
    image_size: int | None = None

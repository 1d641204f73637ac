"""What a step of the GPU check is."""

from collections.abc import Callable
from dataclasses import dataclass

Outcome = tuple[str, dict[str, float]]  # what a reader has to know, and figures


@dataclass(frozen=True)
class Step:
    """One row to be.

    Attributes:
        part: ``check`` or ``speed``.
        name: what is checked or measured.
        perform: does it; an exception is a failure.
    """

    part: str
    name: str
    perform: Callable[[], Outcome]

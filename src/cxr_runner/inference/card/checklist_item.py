"""One item of a reporting guideline: what it asks, what a card can answer, and what only people know."""

from typing import NamedTuple


class ChecklistItem(NamedTuple):
    """One item.

    Attributes:
        number: as the guideline numbers it, e.g. ``5a``.
        asks: what it asks, in few words.
        facts: names of the facts of a card that answer it, see :mod:`cxr_runner.inference.card.card_facts`.
        blank: what these leave open; '' where they answer all of it.
    """

    number: str
    asks: str
    facts: tuple[str, ...]
    blank: str


class Checklist(NamedTuple):
    """A reporting guideline.

    Attributes:
        name: its name.
        source: where it was published.
        items: its items, in their order.
    """

    name: str
    source: str
    items: tuple[ChecklistItem, ...]

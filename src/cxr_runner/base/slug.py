"""Titles as parts of the names of folders."""

import re


def slug(title: str) -> str:
    """Return a title as part of a folder's name: lower-case ASCII letters, digits and hyphens; never empty."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40] or "data"

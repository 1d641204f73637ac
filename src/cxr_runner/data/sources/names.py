"""How names of folders and classes are compared."""

import unicodedata


def fold(name: str) -> str:
    """Return a name of a folder as names are compared: case and the kind of Unicode's composition do not matter."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())

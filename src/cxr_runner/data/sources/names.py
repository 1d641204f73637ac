"""How names of folders and classes are compared, and which of them name splits."""

import re
import unicodedata

_SPLITS = {"train": "train", "test": "test"} | dict.fromkeys(("val", "valid", "validate", "validation", "dev"), "val")
_SPLITS |= {"training": "train", "testing": "test"}
# train, Train_Images, training-set, "test set"
_SPLIT = re.compile(rf"({'|'.join(sorted(_SPLITS, key=len, reverse=True))})[ _-]?(?:set|images?|imgs?|data)?")


def fold(name: str) -> str:
    """Return a name of a folder as names are compared: case and the kind of Unicode's composition do not matter."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def split_of(folder: str) -> str | None:
    """Return the split that a folder or file is named after, None where it is named after none."""
    match = _SPLIT.fullmatch(fold(folder))
    return _SPLITS[match[1]] if match else None

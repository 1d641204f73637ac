"""How names of folders and classes are compared, and which of them name splits."""

import re
import unicodedata

from cxr_runner.base.errors import UserError

_SPLITS = {"train": "train", "test": "test"} | dict.fromkeys(("val", "valid", "validate", "validation", "dev"), "val")
_SPLITS |= {"training": "train", "testing": "test"}
# train, Train_Images, training-set, "test set"
_SPLIT = re.compile(rf"({'|'.join(sorted(_SPLITS, key=len, reverse=True))})[ _-]?(?:set|images?|imgs?|data)?")


def names_mask(path: str) -> bool:
    """Return whether a path is that of a mask: ``lung masks/1.png``, ``1_mask.png``."""
    *folders, name = fold(path).split("/")
    masked = any(re.search(r"(?<![a-z])(?:masks?|segmentations?)(?![a-z])", folder) for folder in folders)
    return masked or re.search(r"[_ -](?:masks?|seg)\.[a-z]+$", name) is not None


def split_word(folder: str) -> str | None:
    """Return the split that a word of a folder's name names, as in ``images_train``; None for no or several."""
    words = {split for word in re.split(r"[\W_]+", fold(folder)) if (split := _SPLITS.get(word))}
    return words.pop() if len(words) == 1 else None


def fold(name: str) -> str:
    """Return a name of a folder as names are compared: case and the kind of Unicode's composition do not matter."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).strip()


def split_of(folder: str) -> str | None:
    """Return the split that a folder or file is named after, None where it is named after none."""
    match = _SPLIT.fullmatch(fold(folder))
    return _SPLITS[match[1]] if match else None


def compile_pattern(key: str, pattern: str) -> re.Pattern[str]:
    """Return the regular expression that a key holds.

    Raises:
        UserError: it is none.
    """
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UserError.for_key(key, pattern, f"not a regular expression ({error})") from None

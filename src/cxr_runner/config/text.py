"""Text is text: the keys whose values are taken verbatim, and how they pass through Hydra unharmed.

Hydra reads ``key=value`` with a grammar that refuses letters outside ASCII, takes ``1``, ``2024`` and ``true`` for
other types, makes sweeps of commas and looks ``${`` up. A value of :data:`TEXT_KEYS` therefore never meets it: it is
disguised as a quoted string of harmless characters where it comes in, and revealed once everything is composed, see
:mod:`cxr_runner.config.loading`.
"""

import re
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any
from urllib.parse import quote, unquote

from cxr_runner.base.errors import UserError

TEXT_KEYS = (
    *("data.root", "data.path", "data.file", "data.repo", "data.revision", "data.*_column", "data.where"),
    *("data.positive", "data.negative", "data.ignore", "data.subgroups", "data.label_separator"),
    *("data.title", "data.citation", "data.*_pattern", "data.split_files.*", "data.columns.*"),
    *("outputs", "name", "model.weights", "model.target"),
)
"""Keys whose values are text, dotted; ``*`` stands for any part of a name. Everywhere, ``null`` means none given."""

ARGUMENTS = "model.arguments"
"""The key below which any may stand, which no file lists: Hydra takes these with ++ only."""

_PATTERN = re.compile("|".join(re.escape(key).replace(r"\*", r"[^.]*") for key in TEXT_KEYS))
_OVERRIDE = re.compile(r"(?P<key>[+~]{0,2}(?P<name>[^=+~][^=]*))=(?P<value>.*)", re.DOTALL)
_MARK = "text:"
_HARMLESS = " !#&()*+,/:;<=>?@[]^_`{|}~-."  # besides ASCII letters and digits, inside quotes; no %, which disguises


def is_text_key(key: str) -> bool:
    """Whether the values of a key, in dotted form, are text."""
    return _PATTERN.fullmatch(key) is not None


def disguise(text: str) -> str:
    """Return a string of printable ASCII that stands for a text until :func:`reveal` gives it back."""
    # Bytes of a command line that are no UTF-8 reach Python as surrogates.
    return _MARK + quote(text, safe=_HARMLESS, errors="surrogatepass")


def reveal(value: Any) -> str | None:
    """Return the text that a value stands for; None where it stands for none."""
    if not isinstance(value, str) or not value.startswith(_MARK):
        return None
    return unquote(value.removeprefix(_MARK), errors="surrogatepass")


def _is_open(key: str) -> bool:
    """Whether a key is one of those that no file lists, without Hydra's mark for that."""
    return f"{key}.".startswith(f"{ARGUMENTS}.")


def disguise_argument(argument: str) -> str:
    """Return a KEY=VALUE of the command line with the value disguised, if it is text."""
    override = _OVERRIDE.fullmatch(argument)
    if override is not None and _is_open(override["key"]):
        return f"++{argument}"
    if override is None or not is_text_key(override["name"]) or override["value"] == "null":
        return argument
    return f"{override['key']}='{disguise(override['value'])}'"


def disguise_arguments(arguments: Iterable[str]) -> list[str]:
    """Return arguments of the command line with all text in them disguised."""
    return [disguise_argument(argument) for argument in arguments]


def write_arguments(settings: Mapping[str, object], prefix: str = "") -> list[str]:
    """Return settings with Python values as disguised arguments of the command line.

    Args:
        settings: values by their keys in dotted form, or in mappings inside mappings. For text keys, text is taken
            verbatim and a number means its text; elsewhere, text is read as on the command line.
        prefix: what the keys stand below, with its dot.

    Raises:
        UserError: a value is of a type that no key has.
    """
    arguments: list[str] = []
    for name, value in settings.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            arguments += write_arguments(value, f"{key}.")
        else:
            arguments.append(f"{'++' if _is_open(key) else ''}{key}={_write(key, value)}")
    return arguments


def _write(key: str, value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(_write(key, one) for one in value)}]"
    if not isinstance(value, str | PurePath | Integral | Real):
        raise UserError.for_key(key, value, "must be text, a number, true, false, None or a list of these")
    text = repr(float(value)) if isinstance(value, Real) and not isinstance(value, Integral) else str(value)
    if _is_open(key) and isinstance(value, str | PurePath):  # or 3 would be a number, and a comma a sweep
        escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
        return f"'{escaped}'"
    return f"'{disguise(text)}'" if is_text_key(key.lstrip("+")) else text

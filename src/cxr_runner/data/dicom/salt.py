"""Patients of DICOM files are known by a hash of their PatientID, made with a salt that only the user has."""

import hashlib
import hmac
import os
import re
import secrets
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

from platformdirs import user_config_path

from cxr_runner.base.errors import UserError

LEAST_SALT = 16
"""Characters of a salt that is given: with a short one, whoever sees the hashes could try all."""

_DIGITS = 12
# De-identified files often all bear the same PatientID: one that says that there is none.
_NOBODY = re.compile(r"[0xX*_.-]*|anon[a-z]*|de-?identified|unknown|removed|none|null|n/a|no ?id|patient ?id", re.I)


def patient_key(patient_id: str) -> str:
    """Return 12 hex digits that stand for a patient; '' where nothing, or nobody in particular, is named.

    Args:
        patient_id: PatientID as a file has it.

    Raises:
        UserError: the salt cannot be read or made.
    """
    tidy = patient_id.strip(" \0\t\r\n")
    return "" if _NOBODY.fullmatch(tidy) else _hashed(tidy)


def salt_check() -> str:
    """Return what differs between two salts and tells neither, 12 hex digits.

    Raises:
        UserError: the salt cannot be read or made.
    """
    return _hashed("")


def salt_path() -> Path:
    """Return the file of the user's salt: in the directory of the user's settings, never among decoded images."""
    return user_config_path("cxr_runner") / "salt"


def _hashed(text: str) -> str:
    salt = _salt(os.environ.get("CXR_SALT") or "")
    return hmac.new(salt.encode(), text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:_DIGITS]


@cache
def _salt(given: str) -> str:
    if given:
        if len(given) < LEAST_SALT:
            raise UserError(f"CXR_SALT: {len(given)} characters are too few, at least {LEAST_SALT} are needed")
        return given
    path = salt_path()
    try:
        if not path.exists():
            _make(path)
        salt = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        valid = f"no salt can be kept in {path} ({reason}); give one in CXR_SALT"
        raise UserError(f"patients of DICOM files are kept as hashes, and {valid}") from None
    if len(salt) < LEAST_SALT:
        raise UserError(f"{path} holds no salt; remove it, and a new one is made")
    return salt


def _make(path: Path) -> None:
    """Write a random salt that only the user can read; of several processes, the first one's counts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = path.with_name(f"salt.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
        with suppress(FileExistsError):
            os.link(mine, path)  # unlike a rename, it never replaces a salt that is in use
            print(f"patients of DICOM files are kept as hashes, with the salt in {path}", file=sys.stderr)
    finally:
        mine.unlink(missing_ok=True)

"""What is read only where an extra of this package is installed."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cxr_runner.config.data_schema import Windowing

DICOM_ENDINGS = (".dcm", ".dicom")
"""Endings, in lower case, of files that are DICOM unless their content says otherwise."""

INSTALL_DICOM = "pip install 'cxr-runner[dicom]'"
"""The command that makes DICOM files readable."""


def reads_dicom() -> bool:
    """Return whether the extra for DICOM files is installed; it is not imported."""
    return find_spec("pydicom") is not None


def says_dicom(head: bytes) -> bool:
    """Return whether the first 132 bytes of a file are those of a DICOM file."""
    return head[128:132] == b"DICM"


@dataclass(frozen=True)
class DicomOptions:
    """What is to be made of DICOM files.

    Attributes:
        window: see :func:`~cxr_runner.data.dicom.windows.to_grey`.
        frame: which of several frames, counted from 1; None refuses files with several.
    """

    window: "Windowing" = "file"
    frame: int | None = None


AS_IN_FILE = DicomOptions()
"""The defaults: the window of the file, and no file of several frames."""

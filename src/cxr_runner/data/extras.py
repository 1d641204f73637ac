"""What is read only where an extra of this package is installed."""

from dataclasses import dataclass
from importlib.util import find_spec

from cxr_runner.config.schema import Windowing

DICOM_ENDINGS = (".dcm", ".dicom")
"""Endings, in lower case, of files that are DICOM unless their content says otherwise."""

INSTALL_DICOM = "pip install 'cxr-runner[dicom]'"
"""The command that makes DICOM files readable."""

_DICOM_VERSION = 1  # counts changes of what is made of DICOM files: their stores are then built anew

# What pydicom decodes compressed files with, beside itself and Pillow: one more makes more files readable.
_DECODERS = ("gdcm", "jpeg_ls", "libjpeg", "openjpeg")


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
        window: see :func:`~cxr_runner.data.windows.to_grey`.
        frame: which of several frames, counted from 1; None refuses files with several.
    """

    window: Windowing = "file"
    frame: int | None = None

    def signature(self) -> tuple[object, ...]:
        """Return what decides, beside the files, what is decoded: it belongs to the signature of their source.

        Raises:
            UserError: the salt for patients cannot be read or made.
        """
        from cxr_runner.data.salt import salt_check

        decoders = [name for name in _DECODERS if find_spec(name) is not None]
        return ("DICOM", _DICOM_VERSION, self.window, self.frame, salt_check(), decoders)


AS_IN_FILE = DicomOptions()
"""The defaults: the window of the file, and no file of several frames."""

"""Read a DICOM file's header, whatever is wrong with it."""

import logging
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import pydicom

from wsi.errors import UnreadableError

# Its warnings quote values, which may be a patient's; what is wrong with a file is told by our errors.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

DICOM_FAULTS = (
    pydicom.errors.InvalidDicomError,
    pydicom.errors.BytesLengthException,
    OSError,
    ValueError,
    KeyError,
    AttributeError,
    IndexError,
    TypeError,
    NotImplementedError,
    RecursionError,
    OverflowError,
    struct.error,
)
"""What pydicom raises on damaged files."""


def read_header(file: Path | BinaryIO, tags: Sequence[str] | None = None) -> pydicom.Dataset:
    """Return the elements named, of those that the file has; None: all but the px, at which an open file then stands.

    Raises:
        UnreadableError: the file is damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values, which may be a patient's
            found = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=[*tags] if tags else None)
            for name in tags or found.keys():
                found.get(name)  # values are only made sense of when they are asked for
    except DICOM_FAULTS as error:
        raise UnreadableError(f"a damaged DICOM file ({type(error).__name__}); copy it again") from error
    return found

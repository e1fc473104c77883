"""Read a DICOM file's header, whatever is wrong with it."""

import struct
from collections.abc import Sequence
from pathlib import Path

import pydicom

from wsi.errors import UnreadableError

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


def read_header(path: Path, tags: Sequence[str]) -> pydicom.Dataset:
    """Return the elements named, of those that the file has.

    Raises:
        UnreadableError: the file is damaged.
    """
    try:
        found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[*tags])
        for name in tags:
            found.get(name)  # values are only made sense of when they are asked for
    except DICOM_FAULTS as error:
        raise UnreadableError(f"a damaged DICOM file ({type(error).__name__}); copy it again") from error
    return found

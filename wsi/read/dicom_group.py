"""Which DICOM files in a folder belong together: a slide's levels, a volume's slices; all others are images of their own."""

from pathlib import Path

import pydicom

from wsi.errors import SlideError, UnreadableError
from wsi.read.dicom_file import numbers
from wsi.read.dicom_header import read_header
from wsi.read.dicom_parts import Member
from wsi.read.dicom_reader import WSI_CLASS

_DIRECTORY = "1.2.840.10008.1.3.10"
_TAGS = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "ImageType"),
    *("ImagePositionPatient", "ImageOrientationPatient", "Rows", "Columns"),
)


def member_of(path: Path) -> Member | None:
    """Return what a file belongs to; None for a directory of files (DICOMDIR), which is no image.

    Files of one series belong together when it is a slide's, or when they say where in space they lie; scouts
    (localizers), radiographs and photographs stand for themselves. So do files that can't be read.
    """
    try:
        found = read_header(path, _TAGS)
    except UnreadableError:
        return Member(str(path), is_level=False)
    if found.file_meta.get("MediaStorageSOPClassUID") == _DIRECTORY:
        return None
    kind = [str(word) for word in found.get("ImageType") or ()]
    is_slide = found.get("SOPClassUID") == WSI_CLASS
    together = is_slide or (bool(found.get("ImagePositionPatient")) and "LOCALIZER" not in kind)
    series = str(found.get("SeriesInstanceUID", ""))
    if not (together and series):
        return Member(str(path), is_level="VOLUME" in kind)
    if is_slide:
        return Member(series, is_level="VOLUME" in kind)
    return Member(
        series,
        is_level=False,
        instance=str(found.get("SOPInstanceUID", "")),
        form=(
            *(str(found.get(name, "")) for name in ("StudyInstanceUID", "FrameOfReferenceUID")),
            *(number for name in ("ImageOrientationPatient", "Rows", "Columns") for number in _rounded(found, name)),
        ),
        place=_rounded(found, "ImagePositionPatient"),
    )


def _rounded(found: pydicom.Dataset, name: str) -> tuple[float, ...]:
    """Return the numbers of an element to three digits, which writers agree in; () where it isn't numbers."""
    try:
        return tuple(round(number, 3) for number in numbers(found, name))
    except (ValueError, TypeError, SlideError):
        return ()

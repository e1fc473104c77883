"""Which DICOM files in a folder belong together: a slide's levels, a volume's slices; all others are images of their own."""

from dataclasses import dataclass
from pathlib import Path

from wsi.errors import UnreadableError
from wsi.read.dicom_header import read_header
from wsi.read.dicom_reader import WSI_CLASS

_DIRECTORY = "1.2.840.10008.1.3.10"
_TAGS = ("SOPClassUID", "SeriesInstanceUID", "ImageType", "ImagePositionPatient")


@dataclass(frozen=True, slots=True)
class Member:
    """What a file says of itself: `group` is the same for files of one image; `is_level` marks a slide's own levels."""

    group: str
    is_level: bool


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
    return Member(series if together and series else str(path), is_level="VOLUME" in kind)

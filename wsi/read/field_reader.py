"""Read any image that is not a slide: a picture, a volume, a DICOM series."""

from collections.abc import Sequence
from pathlib import Path

from wsi.errors import FormatError, SlideError, UnreadableError
from wsi.read.field_info import LIMIT_BYTES, FieldReading
from wsi.read.sniff import describe_head, foreign, is_dicom, is_nifti, is_picture, is_tiff, read_head


def read_field(files: Sequence[Path], *, limit: int = LIMIT_BYTES, name: str = "") -> FieldReading:
    """Return the field that `files` hold: one picture, one NIfTI, one DICOM image, or the slices of a DICOM series.

    Pictures: axes (y, x) in px, channels R, G, B or gray, values 0 (black) to 255 (white) whatever the bits.
    Volumes: axes (i, j, k) in mm, one channel `value` of what was measured (HU), the affine to RAS+.

    Args:
        files: of a series all its files, in any order; else one.
        limit: bytes of memory that the field may take; claims are checked before any is taken.
        name: what messages call the field; "": its first file.

    Raises:
        UnreadableError: damaged. FormatError: a known format with content that can't be read as one field.
        ModalityError: a whole slide. TooLargeError: it claims more than `limit`. Messages begin with the name, and
        where one slice of several is at fault, they say which.
    """
    if not files:
        raise ValueError("no file to read")
    name = name or files[0].name
    try:
        return _read([Path(file) for file in files], limit)
    except SlideError as error:
        cause = error.__cause__
        raise type(error)(f"{name}: {error}") from cause
    except MemoryError:
        raise UnreadableError(f"{name}: not enough memory to read it") from None


def _read(files: list[Path], limit: int) -> FieldReading:
    try:
        head = read_head(files[0])
    except OSError as error:
        raise UnreadableError(f"can't be read ({error.strerror or error}); check the file's permissions") from None
    if is_dicom(head):
        from wsi.read.dicom_field import read_dicom

        return read_dicom(files, limit=limit)
    if len(files) > 1:
        raise FormatError(f"{len(files)} files that aren't a DICOM series; expected one image")
    if is_nifti(files[0], head):
        from wsi.read.nifti import read_nifti

        return read_nifti(files[0], limit=limit)
    if is_picture(head) or is_tiff(files[0]):
        from wsi.read.picture import read_picture

        return read_picture(files[0], limit=limit)
    if head and files[0].suffix.lower() in (".dcm", ".ima"):
        raise FormatError(
            "no DICOM file header (the letters DICM at byte 128); write it as a DICOM Part 10 file, as "
            "`dcmconv +F` does"
        )
    if told := foreign(head):
        raise FormatError(told)
    raise UnreadableError(describe_head(head))

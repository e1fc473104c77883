"""What is known of a field besides its samples: numbers and words of closed lists, never a text from the file."""

from dataclasses import dataclass

from wsi.errors import TooLargeError
from wsi.field import Field

LIMIT_BYTES = 2 << 30
"""Memory that one field may take while it is read; what claims more is refused before any is taken."""
RGB = ("R", "G", "B")
GRAY = ("gray",)
MEASURED = ("value",)
"""Channels of a color picture, of a gray one, and of what a scanner measured (HU, MR signal)."""


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """Facts of a field that a card may ask for.

    format: dicom, nifti, png, jpeg, tiff, webp, bmp or jpeg2000.
    modality: DICOM's short code (CT, MR, CR, DX, OP, XC, ...); "" when the file doesn't say.
    axes: 2 for a picture, 3 for a volume. channels: as the field names them.
    bits: bits a sample has in the file; values of a picture are shown on 0-255 all the same.
    spacing: mm between samples along each axis; None when the file doesn't say.
    body_part: DICOM's defined term (CHEST, HAND, ...); "" when the file doesn't say, or in words of its own.
    findings: what was done to the file, or noticed, in this tool's own words.
    """

    format: str
    modality: str
    axes: int
    channels: tuple[str, ...]
    bits: int
    spacing: tuple[float, ...] | None
    findings: tuple[str, ...] = ()
    body_part: str = ""


@dataclass(frozen=True, slots=True)
class FieldReading:
    """A field as it was read, and what is known of it."""

    field: Field
    info: FieldInfo


def check_room(wanted: int, limit: int, *, what: str) -> None:
    """Refuse what needs more memory than `limit`, both in bytes, before it is taken.

    Raises:
        TooLargeError: it names `what` claims so much.
    """
    if wanted > limit:
        raise TooLargeError(
            f"{what} claims {wanted / 2**20:,.0f} MB, more than the {limit / 2**20:,.0f} MB that one image may take; "
            "the header is damaged, or the image must be cut into parts first"
        )

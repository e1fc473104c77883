"""Is a plain picture one of stained tissue? Asked where a file doesn't say by itself that it is a slide."""

from wsi.errors import ModalityError, RegionError
from wsi.field import picture_field
from wsi.geometry import Point, Region
from wsi.read.field_info import RGB
from wsi.read.looks import look_at
from wsi.read.modality import check_brightfield
from wsi.read.source import Source

MOST_LOOKED_AT = 64 << 20
"""A plain picture of more px isn't looked at whole."""
COLORLESS, DIM = 0.98, 0.35
"""Shares of a picture: without color from here on, and of that at least so much that is no bright ground."""
GROUND, STAINED = 0.5, 0.05
"""Below so much bright ground, a picture less stained than this is a photograph."""


def check_stained(source: Source, slide: str) -> None:
    """Refuse a plain picture, without levels and without a scale of its own, that shows anything but stained tissue.

    Colorless and not on bright ground: a radiograph or a slice. Little fine detail, little bright ground and colors far
    from hematoxylin and eosin: a photograph of an eye or of skin. Of 740 pictures of H&E (ten slides whole and cut out,
    two sets of tiles) none is refused; of 216 pictures of eyes and chests all are, and 868 of 880 of skin. A picture of
    which a part can't be decoded isn't judged.

    Raises:
        ModalityError: another kind of picture.
    """
    size, mpp = source.levels[0].size, source.metadata_mpp
    says_slide = len(source.levels) > 1 or (mpp is not None and mpp.source != "tiff-tags")
    if says_slide or size.area > MOST_LOOKED_AT:
        return
    try:
        pixels = source.read_region(Region(Point(0, 0), 0, size))
    except RegionError:
        return
    check_brightfield(pixels, slide)
    looks = look_at(picture_field(pixels.transpose(2, 0, 1), RGB))
    gray, bright = looks["gray"], looks["bright_ground"]
    stained = 2 * looks["fine"] - looks["off_stain"] + bright
    if gray >= COLORLESS and gray - bright > DIM:
        found = f"{gray:.0%} of the picture has no color, and only {bright:.0%} is bright ground"
    elif bright < GROUND and stained < STAINED:
        found = f"colors unlike stained tissue's, smooth, and no bright ground (stained {stained:.2f}, least {STAINED})"
    else:
        return
    raise ModalityError(
        f"{slide}: no slide by its look: {found}; expected stained tissue. Choose a model of such pictures (`wsi-run models "
        f"list`); if it is a slide all the same, name its reader: --reader {source.reader}"
    )

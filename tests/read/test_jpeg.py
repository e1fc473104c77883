"""JPEG frames: px as libjpeg gives them to others, and never px that aren't there."""

import io
from typing import Literal

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from tests import make
from wsi.geometry import Size
from wsi.read.jpeg import SHRINKS, JpegFrames

SIZE = Size(96, 64)
PIXELS = make.draw_tissue(SIZE.width, SIZE.height, seed=3)
OWN_TABLES = JpegFrames(b"", None)


def jpeg(subsampling: int = 2) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "jpeg", quality=80, subsampling=subsampling)
    return file.getvalue()


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_full_size_equals_another_decoder(subsampling: int) -> None:
    stored = jpeg(subsampling)
    np.testing.assert_array_equal(OWN_TABLES.decode(stored, SIZE), imagecodecs.jpeg8_decode(stored))


@pytest.mark.parametrize("shrink", SHRINKS)
def test_shrunk_equals_pillow(shrink: int) -> None:
    stored, size = jpeg(), (SIZE.width // shrink, SIZE.height // shrink)
    expected = Image.frombytes("RGB", size, stored, "jpeg", "RGB", "", shrink, 0)
    np.testing.assert_array_equal(OWN_TABLES.decode(stored, SIZE, shrink=shrink), np.asarray(expected))


@pytest.mark.parametrize("shrink", SHRINKS)
@pytest.mark.parametrize("colors", ["RGB", None])
def test_shared_tables_and_colors_that_no_marker_tells(colors: Literal["RGB"] | None, shrink: int) -> None:
    space = "RGB" if colors else "YCBCR"
    stored = bytes(imagecodecs.jpeg8_encode(PIXELS, level=80, colorspace="RGB", outcolorspace=space))
    whole = JpegFrames(b"", colors)
    expected = whole.decode(stored, SIZE, shrink=shrink)
    if shrink == 1:
        assert np.abs(expected.astype(int) - PIXELS).mean() < 6
    tables, bare = split(stored)
    shared = JpegFrames(tables, colors)
    np.testing.assert_array_equal(shared.decode(bare, SIZE, shrink=shrink), expected)


def split(stored: bytes) -> tuple[bytes, bytes]:
    """Return the tables of a stream and the rest of it, each a stream, as a TIFF has them; no word on colors."""
    tables, rest, at = b"", b"", 2
    while stored[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(stored[at + 2 : at + 4], "big")
        if stored[at + 1] in (0xDB, 0xC4):
            tables += stored[at:end]
        elif stored[at + 1] not in (0xE0, 0xEE):
            rest += stored[at:end]
        at = end
    return b"\xff\xd8" + tables + b"\xff\xd9", b"\xff\xd8" + rest + stored[at:]


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("end", [b"", b"\xff\xd9", b"\xff\xd9\0"])
def test_a_frame_cut_off_is_refused(kept: float, end: bytes) -> None:
    stored = jpeg()
    with pytest.raises(ValueError, match=r"(?i)premature|corrupt|jpeg|marker"):
        OWN_TABLES.decode(stored[: int(len(stored) * kept)] + end, SIZE)


@pytest.mark.parametrize("after", [b"", b"\xff\xd9", b"\xff\xd9\0", b"\xff\xd9\0\0"])
def test_a_frame_whose_end_is_left_out_or_padded_is_whole(after: bytes) -> None:
    stored = jpeg()
    np.testing.assert_array_equal(OWN_TABLES.decode(stored[:-2] + after, SIZE), OWN_TABLES.decode(stored, SIZE))


@pytest.mark.parametrize("shrink", SHRINKS)
def test_a_frame_larger_than_told_is_refused_and_a_smaller_one_is_as_it_is(shrink: int) -> None:
    with pytest.raises(ValueError, match="too small"):
        OWN_TABLES.decode(jpeg(), Size(32, 32), shrink=shrink)
    found = OWN_TABLES.decode(jpeg(), Size(128, 128))
    np.testing.assert_array_equal(found, OWN_TABLES.decode(jpeg(), SIZE))


def test_px_are_put_where_the_caller_says() -> None:
    place = np.zeros((SIZE.height, SIZE.width, 3), np.uint8)
    assert OWN_TABLES.decode(jpeg(), SIZE, lambda *_: place) is place

"""Stored JPEG frames handed on as files: the same px as ours, by another decoder, and no word besides."""

import contextlib
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests import make
from wsi.errors import RegionError
from wsi.geometry import Point, Region, Size
from wsi.read import Framed, Source, open_slide
from wsi.read.jpeg import JpegFrames
from wsi.read.whole_jpeg import whole_jpeg

PICTURE = make.small_picture()
SIDE = 64


@contextlib.contextmanager
def opened(path: Path, reader: str = "auto") -> Iterator[Source]:
    source = open_slide(path, reader=reader)
    try:
        yield source
    finally:
        source.close()


def shown(file: bytes) -> NDArray[np.uint8]:
    """Decode as a browser does: by what the file itself says."""
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image.convert("RGB"))


def segments(file: bytes) -> list[int]:
    """Return the markers up to the scan."""
    found, at = [], 2
    while True:
        marker, length = file[at + 1], struct.unpack_from(">H", file, at + 2)[0]
        found.append(marker)
        if marker == 0xDA:
            return found
        at += 2 + length


@pytest.fixture(params=["svs", "tiff-openslide", "tiff-tiffslide"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    if request.param == "svs":
        path, reader = make.write_svs(tmp_path / "slide.svs", PICTURE), "auto"
    else:
        path, reader = (
            make.write_tiff(tmp_path / "slide.tiff", PICTURE, compression="jpeg"),
            request.param.removeprefix("tiff-"),
        )
    with opened(path, reader) as found:
        yield found


def test_frame_shows_what_its_region_shows(source: Source) -> None:
    assert isinstance(source, Framed)
    handed = 0
    for level, each in enumerate(source.levels):
        size = source.frame_size(level)
        assert size is not None
        for row in range(-(-each.size.height // size.height)):
            for column in range(-(-each.size.width // size.width)):
                file = source.jpeg_frame(level, column, row)
                if file is None:
                    inside = (column + 1) * size.width <= each.size.width and (
                        row + 1
                    ) * size.height <= each.size.height
                    assert not inside
                    continue
                place = Point(*(round(n * s * each.downsample) for n, s in ((column, size.width), (row, size.height))))
                assert np.array_equal(shown(file), source.read_region(Region(place, level, size)))
                assert set(segments(file)) <= {0xC0, 0xC4, 0xDB, 0xDD, 0xDA, 0xEE, 0xE0}
                handed += 1
    assert handed > 4


def test_damaged_frame_is_known_and_not_handed_on(tmp_path: Path) -> None:
    path = make.damage_tiles(make.write_svs(tmp_path / "slide.svs", PICTURE), [1])
    with opened(path, "tiffslide") as source:
        assert isinstance(source, Framed)
        handed = None
        with contextlib.suppress(RegionError):
            handed = source.jpeg_frame(0, 1, 0)
        assert handed is None
        with pytest.raises(RegionError):
            source.read_region(Region(Point(256, 0), 0, Size(10, 10)))


def test_frame_that_was_left_out_is_not_handed_on(tmp_path: Path) -> None:
    path = make.leave_out_tiles(make.write_svs(tmp_path / "slide.svs", PICTURE), [1])
    with opened(path) as source:
        assert isinstance(source, Framed)
        assert source.jpeg_frame(0, 1, 0) is None


def test_jpeg_2000_is_not_handed_on(tmp_path: Path) -> None:
    with opened(make.write_svs(tmp_path / "slide.svs", PICTURE, compression="jpeg2000")) as source:
        assert isinstance(source, Framed)
        assert source.frame_size(0) is not None
        assert source.jpeg_frame(0, 0, 0) is None


def plain_jpeg(**given: object) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(3).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", **given)
    return buffer.getvalue()


def test_comments_metadata_and_what_follows_the_end_are_left_out() -> None:
    exif = Image.Exif()
    exif[0x010E] = "Jane Doe"
    stored = plain_jpeg(comment="Jane Doe", exif=exif.tobytes(), quality=90) + b"Jane Doe"
    assert stored.count(b"Jane Doe") == 3
    file = whole_jpeg(stored, Size(SIDE, SIDE))
    assert file is not None
    assert b"Jane" not in file
    assert np.array_equal(shown(file), shown(stored))


@pytest.mark.parametrize("adobe", [b"", b"\0", b"\1"])
@pytest.mark.parametrize("jfif", [True, False])
@pytest.mark.parametrize("colors", ["RGB", None])
@pytest.mark.parametrize("is_shared", [True, False])
def test_file_has_the_colors_of_its_frame_whatever_its_markers_say(
    adobe: bytes, jfif: bool, colors: Literal["RGB"] | None, is_shared: bool
) -> None:
    stored, said = plain_jpeg(subsampling=0), b""
    start = 4 + int.from_bytes(stored[4:6], "big")  # behind JFIF's marker
    if jfif:
        said += stored[2:start]
    if adobe:
        said += b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + adobe
    tables = b"\xff\xd8" + said + b"\xff\xd9" if is_shared else b""
    frames, bare = JpegFrames(tables, colors), b"\xff\xd8" + (b"" if is_shared else said) + stored[start:]
    file = frames.as_file(bare, Size(SIDE, SIDE))
    assert file is not None
    assert np.array_equal(shown(file), frames.decode(bare, Size(SIDE, SIDE)))


@pytest.mark.parametrize("way", ["progressive", "gray", "another size", "cut off", "empty", "no jpeg", "two frames"])
def test_what_can_be_no_file_is_none(way: str) -> None:
    plain = plain_jpeg()
    gray = io.BytesIO()
    Image.fromarray(np.zeros((SIDE, SIDE), np.uint8)).save(gray, "JPEG")
    stored = {
        "progressive": plain_jpeg(progressive=True),
        "gray": gray.getvalue(),
        "another size": plain,
        "cut off": plain[:-40],
        "empty": b"",
        "no jpeg": b"\x00" * 100,
        "two frames": plain[: plain.index(b"\xff\xda")] + plain[2:],
    }[way]
    assert whole_jpeg(stored, Size(SIDE + (way == "another size"), SIDE)) is None


def test_colors_are_the_pictures(source: Source) -> None:
    assert isinstance(source, Framed)
    handed = source.jpeg_frame(0, 1, 1)
    size = source.frame_size(0)
    assert handed is not None
    assert size is not None
    expected = PICTURE[size.height : 2 * size.height, size.width : 2 * size.width].astype(int)
    assert np.abs(shown(handed).astype(int) - expected).mean() < 6

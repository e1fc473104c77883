"""Only 8-bit RGB brightfield passes; all else is refused by name, and nothing is silently cut to 8 bits."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests import make
from tests.make_dicom import write_dicom
from wsi.errors import FormatError, ModalityError
from wsi.geometry import Point, Region, Size
from wsi.read import check_brightfield, open_slide
from wsi.read.field_reader import read_field

PICTURE = make.small_picture()[:300, :400]
GRAY = PICTURE[..., 1]


def _tiff(path: Path, pixels: Any, **more: Any) -> None:
    tifffile.imwrite(path, pixels, metadata=None, **more)


TIFFS: dict[str, Callable[[Path], None]] = {
    "16 bits": lambda path: _tiff(path, PICTURE.astype(np.uint16) * 257, photometric="rgb", tile=(256, 256)),
    "float": lambda path: _tiff(path, PICTURE.astype(np.float32), photometric="rgb", tile=(256, 256)),
    "signed": lambda path: _tiff(path, (PICTURE // 2).astype(np.int8), photometric="rgb"),
    "gray": lambda path: _tiff(path, GRAY, photometric="minisblack", tile=(256, 256)),
    "inverted gray": lambda path: _tiff(path, GRAY, photometric="miniswhite"),
    "4 channels": lambda path: _tiff(
        path, np.dstack([PICTURE, GRAY]), photometric="rgb", extrasamples=["unspecified"], tile=(256, 256)
    ),
    "5 channels": lambda path: _tiff(
        path, np.dstack([PICTURE, GRAY, GRAY]), photometric="rgb", extrasamples=["unspecified"] * 2
    ),
    "5 pages of gray": lambda path: _tiff(path, np.stack([GRAY] * 5), photometric="minisblack", tile=(256, 256)),
    "palette": lambda path: _tiff(path, GRAY, photometric="palette", colormap=np.zeros((3, 256), np.uint16)),
    "CMYK": lambda path: _tiff(path, np.dstack([PICTURE, GRAY]), photometric="separated", tile=(256, 256)),
    "CIELAB": lambda path: _tiff(path, PICTURE, photometric="cielab", tile=(256, 256)),
}


@pytest.mark.parametrize("reader", ["auto", "openslide", "tiffslide"])
@pytest.mark.parametrize("kind", TIFFS)
def test_tiff_that_is_not_8_bit_rgb_is_refused(tmp_path: Path, kind: str, reader: str) -> None:
    path = tmp_path / "slide.tif"
    TIFFS[kind](path)
    with pytest.raises(ModalityError, match=r"slide\.tif: .*expected 8-bit RGB brightfield"):
        open_slide(path, reader=reader)


def test_ome_channels_are_counted_in_the_message(tmp_path: Path) -> None:
    path = tmp_path / "slide.ome.tif"
    tifffile.imwrite(path, np.stack([GRAY] * 5), photometric="minisblack", metadata={"axes": "CYX"}, tile=(256, 256))
    with pytest.raises(ModalityError, match="5 channels of 8 bits"):
        open_slide(path)


@pytest.mark.parametrize("axes", ["ZYXS", "TYXS"])
def test_stack_of_planes_is_refused_not_shown_by_its_first(tmp_path: Path, axes: str) -> None:
    path = tmp_path / "slide.ome.tif"
    tifffile.imwrite(path, np.stack([PICTURE] * 3), photometric="rgb", metadata={"axes": axes}, tile=(256, 256))
    for reader in ("auto", "tiffslide"):
        with pytest.raises(FormatError, match="stack"):
            open_slide(path, reader=reader)


def test_alpha_is_laid_on_white(tmp_path: Path) -> None:
    alpha = np.full(GRAY.shape, 255, np.uint8)
    alpha[:50] = 0
    path = tmp_path / "slide.tif"
    _tiff(path, np.dstack([PICTURE, alpha]), photometric="rgb", extrasamples=["unassalpha"])
    _expect_white_top(path)
    Image.fromarray(np.dstack([PICTURE, alpha])).save(tmp_path / "slide.png")
    _expect_white_top(tmp_path / "slide.png")


@pytest.mark.parametrize("is_multiplied", [True, False])
def test_half_clear_px_are_the_same_for_every_reader(tmp_path: Path, is_multiplied: bool) -> None:
    """Of associated alpha the colors hold their share already (TIFF 6.0, section 18)."""
    alpha, colors = np.full(GRAY.shape, 102, np.uint8), np.full((*GRAY.shape, 3), (200, 100, 50), np.uint8)
    stored = np.dstack([colors // 5 * 2 if is_multiplied else colors, alpha])
    path, kind = tmp_path / "slide.tif", "assocalpha" if is_multiplied else "unassalpha"
    tifffile.imwrite(path, stored, photometric="rgb", extrasamples=[kind], tile=(64, 64), metadata=None)
    expected = np.array([233, 193, 173])  # 0.4 of the color and 0.6 of white
    for reader in ("openslide", "tiffslide"):
        source = open_slide(path, reader=reader)
        found = source.read_region(Region(Point(20, 20), 0, Size(1, 1)))[0, 0]
        source.close()
        assert np.abs(found.astype(int) - expected).max() <= 1
    assert np.abs(read_field([path]).field.values[:, 20, 20].astype(int) - expected).max() <= 1


def _expect_white_top(path: Path) -> None:
    source = open_slide(path)
    found = source.read_region(Region(Point(0, 0), 0, source.levels[0].size))
    source.close()
    assert (found[:50] == 255).all()
    assert np.array_equal(found[50:], PICTURE[50:])


def _deep_png(path: Path) -> None:
    """Write a PNG with 16 bits a channel, which Pillow would read as 8."""
    height, width = PICTURE.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in PICTURE.astype(np.uint16) * 257)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    stored = [struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(stored))


PICTURES: dict[str, Callable[[Path], None]] = {
    "gray": lambda path: Image.fromarray(GRAY).save(path, format="PNG"),
    "16-bit gray": lambda path: Image.fromarray(GRAY.astype(np.uint16) * 257).save(path, format="PNG"),
    "16-bit RGB": _deep_png,
    "palette": lambda path: Image.fromarray(PICTURE).quantize(64).save(path, format="PNG"),
    "black and white": lambda path: Image.fromarray(GRAY).convert("1").save(path, format="PNG"),
    "CMYK JPEG": lambda path: Image.fromarray(PICTURE).convert("CMYK").save(path, format="JPEG"),
    "gray JPEG": lambda path: Image.fromarray(GRAY).save(path, format="JPEG"),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_picture_that_is_not_8_bit_rgb_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "slide.png"
    PICTURES[kind](path)
    with pytest.raises(ModalityError, match=r"slide\.png: .*expected 8-bit RGB brightfield"):
        open_slide(path)


@pytest.mark.parametrize(
    ("name", "value"), [("SamplesPerPixel", 1), ("BitsAllocated", 16), ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2")]
)
@pytest.mark.parametrize("reader", ["auto", "dicom", "openslide"])
def test_dicom_that_is_not_an_rgb_slide_is_refused(tmp_path: Path, name: str, value: object, reader: str) -> None:
    import pydicom

    path = write_dicom(tmp_path, PICTURE)[0]
    found = pydicom.dcmread(path)
    setattr(found, name, value)
    found.save_as(path)
    with pytest.raises(ModalityError, match=r"level_0\.dcm"):
        open_slide(path, reader=reader)


def _fluorescence() -> make.Pixels:
    """Return blue nuclei on black, as a DAPI scan is shown."""
    mask = make.disc_mask(400, 300, [make.Disc(x, y, 5) for x in range(60, 340, 24) for y in range(60, 240, 24)])
    return np.where(mask[..., None], np.array((10, 30, 140), np.uint8), np.array((2, 2, 6), np.uint8))


def test_fluorescence_is_refused() -> None:
    with pytest.raises(ModalityError, match=r"s\.ndpi"):
        check_brightfield(_fluorescence(), "s.ndpi")


def test_inverted_brightfield_is_refused() -> None:
    with pytest.raises(ModalityError, match="inverted"):
        check_brightfield(255 - make.small_picture(), "s.svs")


def test_brightfield_passes_also_with_black_borders_blood_or_nothing_on_it() -> None:
    check_brightfield(make.small_picture(), "s")
    check_brightfield(np.full((50, 50, 3), 255, np.uint8), "white")
    check_brightfield(np.zeros((50, 50, 3), np.uint8), "black: has no tissue, which is said elsewhere")
    bordered = np.zeros((1000, 1400, 3), np.uint8)
    bordered[150:850, 200:1200] = make.small_picture()
    check_brightfield(bordered, "scanner with black borders")
    blood = np.where(make.small_picture() < 240, np.array((120, 20, 30), np.uint8), make.small_picture())
    check_brightfield(blood.astype(np.uint8), "clot")

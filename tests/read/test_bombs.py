"""Files that claim or unfold to more than any slide: refused, or read within bounds, by a process of little memory."""

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
from tests.read.small_process import outcomes

USED_BYTES = 512 << 20
"""What the process may have taken at its peak."""
IMPORTS = """
import numpy, openslide, pydicom, tifffile, tiffslide, imagecodecs, PIL.Image
import wsi.read.dicom_reader, wsi.read.image_reader, wsi.read.openslide_reader, wsi.read.tiffslide_reader
from wsi.geometry import Point, Region, Size
from wsi.read import open_slide
"""


def _outcome(path: Path, reader: str = "auto") -> str:
    """Return the error's code, or "read", of opening a slide and reading a corner of it."""
    reading = f"open_slide(path, reader={reader!r}).read_region(Region(Point(0, 0), 0, Size(64, 64)))"
    (outcome,) = outcomes([path], imports=IMPORTS, reading=reading, used_bytes=USED_BYTES)
    return outcome


def _patched(path: Path, tags: dict[int, int]) -> Path:
    """Overwrite values of the first directory of a little-endian classic TIFF."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        places = {code: (page.tags[code].valueoffset, int(page.tags[code].dtype)) for code in tags}  # type: ignore[union-attr]
    with path.open("rb+") as stored:
        for code, (offset, kind) in places.items():
            stored.seek(offset - 6 if kind == 3 else offset)
            if kind == 3:  # SHORT becomes LONG
                stored.write(struct.pack("<HII", 4, 1, tags[code]))
            else:
                stored.write(struct.pack("<I", tags[code]))
    return path


def _packed(count: int) -> bytes:
    """Return a zlib stream of `count` zeros (whole MB), made by repeating one packed MB."""
    megabyte, packer = bytes(1 << 20), zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(megabyte) + packer.flush(zlib.Z_FULL_FLUSH)
    check = 1
    for _ in range(count >> 20):
        check = zlib.adler32(megabyte, check)
    return b"\x78\x9c" + piece * (count >> 20) + b"\x03\x00" + struct.pack(">I", check)


def _png(path: Path, side: int) -> Path:
    """Write a black PNG, which packs a thousand to one."""
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", _packed(side * (3 * side + 1) + (1 << 20))), (b"IEND", b"")]
    stored = [struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(stored))
    return path


def _deflated(path: Path, side: int, packed: bytes, **layout: Any) -> Path:
    """Write a TIFF of `side` x `side` px, each frame of it the same packed bytes."""
    shape = {"shape": (side, side, 3), "dtype": np.uint8, "photometric": "rgb", "compression": "zlib", "metadata": None}
    frames = 4 if layout.get("tile") == (256, 256) else 1
    tifffile.imwrite(path, iter([packed] * frames), **shape, **layout)  # type: ignore[arg-type]
    return path


def _wide_tiff(path: Path) -> Path:
    return _patched(make.write_tiff(path, make.small_picture(), levels=1), {256: 2**31 - 1})


def _tall_svs(path: Path) -> Path:
    return _patched(make.write_svs(path, make.small_picture(), levels=1), {257: 2**31 - 256})


def _giant_tile(path: Path) -> Path:
    """Write a TIFF of one 32,768 x 32,768 px tile: 3 MB on the disk, 3 GB decoded."""
    side = 32768
    _deflated(path, side, _packed(3 * side * side), tile=(side, side))
    assert path.stat().st_size < 4 << 20
    return path


def _giant_strip(path: Path) -> Path:
    side = 16384
    return _deflated(path, side, _packed(3 * side * side), rowsperstrip=side)


def _giant_frame(path: Path) -> Path:
    import pydicom

    written = write_dicom(path.parent, make.small_picture())[0]
    found = pydicom.dcmread(written)
    found.Rows = found.Columns = 65535
    found.save_as(path)
    written.unlink()
    return path


TOO_LARGE: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "width near 2^31": ("scan.tiff", _wide_tiff),
    "height near 2^31 in SVS": ("scan.svs", _tall_svs),
    "3 MB that unpack to 3 GB": ("scan.tiff", _giant_tile),
    "one strip of 0.8 GB": ("scan.tif", _giant_strip),
    "PNG of 16,384 x 16,384 px": ("scan.png", lambda path: _png(path, 16384)),
    "DICOM frame of 65,535 x 65,535 px": ("scan.dcm", _giant_frame),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", TOO_LARGE)
def test_impossible_claim_is_too_large(tmp_path: Path, kind: str) -> None:
    name, write = TOO_LARGE[kind]
    assert _outcome(write(tmp_path / name)) == "E_TOO_LARGE"


def _jpegs_that_swell(path: Path) -> Path:
    """Write a TIFF of 256 px tiles, each a JPEG of 16,000 x 16,000 px (0.8 GB decoded)."""
    Image.new("RGB", (16000, 16000), make.GLASS).save(path.with_suffix(".jpg"), quality=50)
    stored = path.with_suffix(".jpg").read_bytes()
    kind: dict[str, Any] = {"compression": "jpeg", "photometric": "ycbcr", "subsampling": (2, 2), "metadata": None}
    tifffile.imwrite(path, iter([stored] * 4), shape=(512, 512, 3), dtype=np.uint8, tile=(256, 256), **kind)
    return path


def _deflates_that_swell(path: Path) -> Path:
    """Write a TIFF of 256 px tiles, each of which unpacks to 0.9 GB."""
    return _deflated(path, 512, _packed(900 << 20), tile=(256, 256))


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["openslide", "tiffslide"])
@pytest.mark.parametrize("write", [_jpegs_that_swell, _deflates_that_swell])
def test_frames_that_swell_are_refused_or_cut_to_their_size(
    tmp_path: Path, write: Callable[[Path], Path], reader: str
) -> None:
    assert _outcome(write(tmp_path / "scan.tiff"), reader) in {"E_UNREADABLE", "E_REGION", "read"}


@pytest.mark.slow
def test_ome_xml_that_unfolds_without_end_takes_no_memory(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
    bomb = f'<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY e0 "lol">{entities}]><OME>&e11;</OME>'
    path = tmp_path / "scan.ome.tif"
    tifffile.imwrite(path, make.small_picture(), photometric="rgb", description=bomb, metadata=None, rowsperstrip=64)
    assert _outcome(path) in {"read", "E_UNREADABLE"}


@pytest.mark.slow
@pytest.mark.parametrize("side", [20_000, 100_000])
def test_real_giant_is_read_within_the_same_bounds(tmp_path: Path, side: int) -> None:
    path = make.write_large(tmp_path / "scan.svs", side)
    assert path.stat().st_size < 2 << 20
    assert _outcome(path) == "read"

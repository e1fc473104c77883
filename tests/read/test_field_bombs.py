"""Pictures that claim or unfold to more than their memory limit: refused, or cut to their size, in a small process."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.read import small_process

LIMIT_BYTES, USED_BYTES = 64 << 20, 256 << 20
"""Memory limit of a picture; what the process may have taken at its peak."""
IMPORTS = """
import imagecodecs, numpy, tifffile, PIL.Image
import wsi.read.picture
from wsi.read.field_reader import read_field
"""


def outcomes(*paths: Path) -> list[str]:
    """Return the code, or "read", of reading each picture as a field."""
    reading = f"read_field([path], limit={LIMIT_BYTES})"
    return small_process.outcomes(paths, imports=IMPORTS, reading=reading, used_bytes=USED_BYTES)


def packed(count: int) -> bytes:
    """Return a zlib stream of `count` zeros (whole MB), made by repeating one packed MB."""
    megabyte, packer = bytes(1 << 20), zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(megabyte) + packer.flush(zlib.Z_FULL_FLUSH)
    check = 1
    for _ in range(count >> 20):
        check = zlib.adler32(megabyte, check)
    return b"\x78\x9c" + piece * (count >> 20) + b"\x03\x00" + struct.pack(">I", check)


def png(path: Path, *, side: int, bits: int, unpacked: int, kind: int = 2) -> Path:
    """Write a PNG that says `side` x `side` px and unpacks to so many bytes."""
    head = struct.pack(">IIBBBBB", side, side, bits, kind, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", packed(unpacked)), (b"IEND", b"")]
    stored = [struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(stored))
    return path


def tiff(path: Path, *, side: int, rows: int, unpacked: int) -> Path:
    """Write a TIFF of `side` x `side` px in strips of `rows`, each of which unpacks to so many bytes."""
    strips = iter([packed(unpacked)] * -(-side // rows))
    tifffile.imwrite(
        path,
        strips,
        shape=(side, side, 3),
        dtype=np.uint8,
        photometric="rgb",
        compression="zlib",
        rowsperstrip=rows,
        metadata=None,
    )
    return path


def test_png_that_claims_more_than_its_limit_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """8 and 16 bits are decoded by two libraries: 0.8 GB and 0.5 GB of zeros in files below 1 MB."""
    plain = png(tmp_path / "plain.png", side=16384, bits=8, unpacked=770 << 20)
    deep = png(tmp_path / "deep.png", side=9000, bits=16, unpacked=464 << 20)
    clear = png(tmp_path / "clear.png", side=2700, bits=16, unpacked=56 << 20, kind=6)
    assert outcomes(plain, deep, clear) == ["E_TOO_LARGE"] * 3


def test_png_whose_px_unpack_to_more_than_it_says_takes_no_more(tmp_path: Path) -> None:
    plain = png(tmp_path / "plain.png", side=64, bits=8, unpacked=900 << 20)
    deep = png(tmp_path / "deep.png", side=64, bits=16, unpacked=900 << 20)
    assert set(outcomes(plain, deep)) <= {"E_UNREADABLE", "read"}


def test_tiff_that_claims_more_than_its_limit_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    assert outcomes(tiff(tmp_path / "a.tif", side=16384, rows=16384, unpacked=768 << 20)) == ["E_TOO_LARGE"]


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
def test_strip_that_holds_a_larger_picture_than_it_says_takes_no_more(kind: str, tmp_path: Path) -> None:
    """A strip of 64 x 64 px that is a picture of 5,000 x 5,000, which takes 0.4 GB to decode from JPEG 2000."""
    Image.new("RGB", (5_000, 5_000)).save(tmp_path / "large", kind)
    shape = {"shape": (64, 64, 3), "dtype": np.uint8, "rowsperstrip": 64, "metadata": None}
    said = {"JPEG": ("jpeg", "ycbcr"), "JPEG2000": ("jpeg2000", "rgb")}[kind]
    strips, path = iter([(tmp_path / "large").read_bytes()]), tmp_path / "a.tif"
    tifffile.imwrite(path, strips, compression=said[0], photometric=said[1], **shape)  # type: ignore[arg-type]
    assert outcomes(path) == ["E_UNREADABLE"]


def test_strip_that_unpacks_to_more_than_it_says_takes_no_more(tmp_path: Path) -> None:
    found = outcomes(tiff(tmp_path / "a.tif", side=64, rows=64, unpacked=900 << 20))
    assert set(found) <= {"E_UNREADABLE", "read"}

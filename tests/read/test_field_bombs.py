"""Pictures that claim or unfold to more than their memory limit: refused, or cut to their size, in a small process."""

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile

LIMIT_S = 120
LIMIT_BYTES, ROOM_BYTES, USED_KB = 64 << 20, 2 << 30, 256 << 10
"""Memory limit of a picture; what the process could take beyond its imports; what it may have taken at its peak."""
_CHILD = """
import resource, sys
from pathlib import Path
import imagecodecs, numpy, tifffile, PIL.Image
import wsi.read.picture
from wsi.errors import WsiError
from wsi.read.field_reader import read_field
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
held = peak()
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[2]),) * 2)
for name in sys.argv[3:]:
    try:
        read_field([Path(name)], limit=int(sys.argv[1]))
        outcome = "read"
    except WsiError as error:
        outcome = error.code
    print(outcome, peak() - held)
"""


def outcomes(*paths: Path) -> list[str]:
    """Return the code, or "read", of reading each picture as a field; each must stay within USED_KB."""
    if not Path("/proc/self/statm").is_file():
        pytest.skip("needs Linux")
    ended = subprocess.run(
        [sys.executable, "-c", _CHILD, str(LIMIT_BYTES), str(ROOM_BYTES), *map(str, paths)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    told = [line.split() for line in ended.stdout.splitlines()]
    assert all(int(kilobytes) < USED_KB for _, kilobytes in told), told
    return [outcome for outcome, _ in told]


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


def test_strip_that_unpacks_to_more_than_it_says_takes_no_more(tmp_path: Path) -> None:
    found = outcomes(tiff(tmp_path / "a.tif", side=64, rows=64, unpacked=900 << 20))
    assert set(found) <= {"E_UNREADABLE", "read"}

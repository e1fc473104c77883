"""Damaged images of every format are read or refused: nothing else is raised, and no memory is taken for a claim."""

import contextlib
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import nibabel
import numpy as np
import pytest
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tests.make_radiology import dicom
from wsi.errors import SlideError
from wsi.read.field_reader import read_field

LIMIT = 32 << 20
ROUNDS = 60
RNG = np.random.default_rng(0)
COLORS = RNG.integers(0, 256, (30, 20, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 4096, (30, 20)).astype(np.uint16)


def _deep_png(path: Path) -> None:
    path.write_bytes(imagecodecs.png_encode(COLORS.astype(np.uint16) * 257))


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.png": lambda path: Image.fromarray(COLORS).save(path),
    "deep.png": _deep_png,
    "a.jpg": lambda path: Image.fromarray(COLORS).save(path),
    "a.tif": lambda path: Image.fromarray(COLORS).save(path, compression="jpeg"),
    "b.tif": lambda path: Image.fromarray(COLORS).save(path, compression="tiff_lzw"),
    "a.webp": lambda path: Image.fromarray(COLORS).save(path),
    "a.bmp": lambda path: Image.fromarray(COLORS).save(path),
    "a.jp2": lambda path: Image.fromarray(COLORS).save(path),
    "a.nii": lambda path: nibabel.save(nibabel.Nifti1Image(DEEP[None], np.eye(4)), path),
    "a.nii.gz": lambda path: nibabel.save(nibabel.Nifti1Image(DEEP[None], np.eye(4)), path),
    **{
        f"{syntax.keyword}.dcm": lambda path, syntax=syntax: dicom(path, DEEP, bits=12, syntax=syntax)  # type: ignore[misc]
        for syntax in (
            ExplicitVRLittleEndian,
            DeflatedExplicitVRLittleEndian,
            JPEG2000Lossless,
            JPEGLSLossless,
            RLELossless,
        )
    },
}


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_file_is_read_or_refused_within_its_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    stored = path.read_bytes()
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    tracemalloc.start()
    for _ in range(ROUNDS):
        damaged = bytearray(stored[: rng.integers(1, len(stored) + 1)] if rng.random() < 0.25 else stored)
        for at in rng.integers(0, len(damaged), rng.integers(1, 16)):
            damaged[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x80", rng.bytes(1)])
        path.write_bytes(damaged)
        with contextlib.suppress(SlideError):
            read_field([path], limit=LIMIT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * LIMIT


@pytest.mark.parametrize("name", ["deep.png", "a.tif"])
def test_claimed_length_takes_no_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    stored = bytearray(path.read_bytes())
    if name == "deep.png":
        stored[33:41] = b"\xff\xff\xff\xf0iCCP"  # the chunk after the header
    else:
        with Image.open(path) as image:
            claimed = np.uint32(image.tag_v2[279][0]).tobytes()  # type: ignore[attr-defined]
        entry = stored.find(b"\x17\x01\x04\x00\x01\x00\x00\x00" + claimed)
        assert entry > 0
        stored[entry + 8 : entry + 12] = b"\xf0\xff\xff\xff"
    path.write_bytes(stored)
    tracemalloc.start()
    with contextlib.suppress(SlideError):
        read_field([path], limit=LIMIT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * LIMIT

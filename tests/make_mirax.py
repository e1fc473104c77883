"""Write a MIRAX slide: an .mrxs file beside a folder of its name, whose scan fills only a part of the grid."""

import re
import struct
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from tests.make import Pixels, cut, pyramid

VERSION, SLIDE_ID = "01.02", "0123456789ABCDEF0123456789ABCDEF"


def write_mirax(
    path: Path, pixels: Pixels, *, mpp: float = 0.5, levels: int = 2, tile: int = 128, empty: tuple[int, int] = (2, 1)
) -> Path:
    """Write `path` (.mrxs) and its folder, stored as PNG.

    The slide is larger than the picture by `empty` tiles at the left and at the top and one at the right and the
    bottom; none of them is stored, so that the scan has bounds. Sides of the picture are cut to whole tiles of
    the smallest level.
    """
    folder = path.with_suffix("")
    folder.mkdir(parents=True)
    whole = tile << (levels - 1)
    pixels = np.ascontiguousarray(pixels[: pixels.shape[0] // whole * whole, : pixels.shape[1] // whole * whole])
    step = 1 << (levels - 1)
    left, top = (-(-count // step) * step for count in empty)
    across, down = pixels.shape[1] // tile + left + step, pixels.shape[0] // tile + top + step
    data, pages = bytearray(b"\0" * 8), []
    for level, picture in enumerate(pyramid(pixels, levels, 2)):
        entries, columns, scale = [], picture.shape[1] // tile, 1 << level
        for i, frame in enumerate(cut(picture, tile)):
            stored = BytesIO()
            Image.fromarray(frame).save(stored, format="PNG")
            index = (top + i // columns * scale) * across + left + i % columns * scale
            entries.append((index, len(data), stored.tell(), 0))
            data += stored.getvalue()
        pages.append(entries)
    (folder / "Data0000.dat").write_bytes(data)
    (folder / "Index.dat").write_bytes(_index(pages))
    (folder / "Slidedat.ini").write_text(_slidedat(levels, tile, across, down, mpp), encoding="utf-8-sig")
    path.write_bytes(b"\xff\xd8\xff" + b"\0" * 61)
    return path


def _index(pages: list[list[tuple[int, int, int, int]]]) -> bytes:
    """Return Index.dat: a root, a pointer a level, and the level's page of (image, offset, length, file)."""
    head = (VERSION + SLIDE_ID).encode()
    root = len(head) + 8
    body, pointers = b"", []
    start = root + 4 * len(pages)
    for entries in pages:
        at = start + len(body)
        pointers.append(at)
        body += struct.pack("<iiii", 0, at + 8, len(entries), 0)
        body += b"".join(struct.pack("<iiii", *entry) for entry in entries)
    return head + struct.pack("<ii", root, 0) + struct.pack(f"<{len(pages)}i", *pointers) + body


def _slidedat(levels: int, tile: int, across: int, down: int, mpp: float) -> str:
    lines = [
        "[GENERAL]",
        f"SLIDE_VERSION = {VERSION}",
        f"SLIDE_ID = {SLIDE_ID}",
        f"IMAGENUMBER_X = {across}",
        f"IMAGENUMBER_Y = {down}",
        "OBJECTIVE_MAGNIFICATION = 20",
        "CameraImageDivisionsPerSide = 1",
        "[HIERARCHICAL]",
        "INDEXFILE = Index.dat",
        "HIER_COUNT = 1",
        "NONHIER_COUNT = 0",
        "HIER_0_NAME = Slide zoom level",
        f"HIER_0_COUNT = {levels}",
        *[f"HIER_0_VAL_{i}_SECTION = LAYER_0_LEVEL_{i}_SECTION" for i in range(levels)],
        "[DATAFILE]",
        "FILE_COUNT = 1",
        "FILE_0 = Data0000.dat",
    ]
    for level in range(levels):
        lines += [
            f"[LAYER_0_LEVEL_{level}_SECTION]",
            "OVERLAP_X = 0",
            "OVERLAP_Y = 0",
            f"MICROMETER_PER_PIXEL_X = {mpp * 2**level}",
            f"MICROMETER_PER_PIXEL_Y = {mpp * 2**level}",
            "IMAGE_FORMAT = PNG",
            "IMAGE_FILL_COLOR_BGR = 16777215",
            f"DIGITIZER_WIDTH = {tile}",
            f"DIGITIZER_HEIGHT = {tile}",
            f"IMAGE_CONCAT_FACTOR = {int(level > 0)}",
        ]
    return "\n".join(lines) + "\n"


def damage_images(path: Path, indices: Sequence[int]) -> Path:
    """Overwrite stored images of level 0, counted in rows of the picture, so that they can't be decoded."""
    data = path.with_suffix("") / "Data0000.dat"
    stored = bytearray(data.read_bytes())
    starts = [found.start() for found in re.finditer(b"\x89PNG", stored)] + [len(stored)]
    for index in indices:
        begin, end = starts[index], starts[index + 1]
        stored[begin:end] = b"\x55" * (end - begin)
    data.write_bytes(stored)
    return path

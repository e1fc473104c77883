"""An NDPI drawn by the tests: each level one JPEG with restart markers, in a TIFF whose directories end in 64 bits."""

import io
import struct
from pathlib import Path

from PIL import Image

from tests.make import Pixels, pyramid

LONG, SHORT, RATIONAL, FLOAT, ASCII, SIGNED = 4, 3, 5, 11, 2, 9
CODES = {SHORT: "H", LONG: "I", FLOAT: "f", SIGNED: "i"}
MCU_STARTS = 65426


def write_ndpi(path: Path, pixels: Pixels, *, levels: int = 3, mpp: float = 0.5, strip: int = 0) -> Path:
    """Write a slide whose strips are `strip` px wide (0: as wide as the level) and 8 px high; 4:4:4."""
    stored = bytearray(b"II*\0" + bytes(8))
    link = 4
    for number, picture in enumerate(pyramid(pixels, levels, 2)):
        height, width = picture.shape[0] // 8 * 8, picture.shape[1] // 8 * 8
        wide = strip or width
        assert width % wide == 0
        stream = _stream(picture[:height, :width], wide // 8)
        starts, place = _strips(stream), len(stored)
        stored += stream + bytes(len(stream) % 2)
        per_cm = (round(10_000 / mpp / 2**number), 1)
        values: list[tuple[int, int, tuple[float, ...] | bytes]] = [
            (256, LONG, (width,)),
            (257, LONG, (height,)),
            (258, SHORT, (8, 8, 8)),
            (259, SHORT, (7,)),
            (262, SHORT, (6,)),
            (271, ASCII, b"Hamamatsu\0"),
            (273, LONG, (place,)),
            (277, SHORT, (3,)),
            (278, LONG, (height,)),
            (279, LONG, (len(stream),)),
            (282, RATIONAL, per_cm),
            (283, RATIONAL, per_cm),
            (296, SHORT, (3,)),
            (530, SHORT, (1, 1)),
            (65420, LONG, (1,)),
            (65421, FLOAT, (20.0 / 2**number,)),
            (65424, SIGNED, (0,)),
            (MCU_STARTS, LONG, tuple(starts)),
        ]
        at = _directory(stored, values)
        stored[link : link + 8] = struct.pack("<Q", at)
        link = at + 2 + 12 * len(values)
    path.write_bytes(stored)
    return path


def _stream(picture: Pixels, blocks: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "jpeg", quality=85, subsampling=0, restart_marker_blocks=blocks)
    return buffer.getvalue()


def _strips(stream: bytes) -> list[int]:
    """Return where the strips of a JPEG stream start: behind its head and behind each restart marker."""
    at = 2
    while stream[at + 1] != 0xDA:
        at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    starts = [at + 2 + int.from_bytes(stream[at + 2 : at + 4], "big")]
    for place in range(starts[0], len(stream) - 1):
        if stream[place] == 0xFF and 0xD0 <= stream[place + 1] <= 0xD7:
            starts.append(place + 2)
    return starts


def _directory(stored: bytearray, values: list[tuple[int, int, tuple[float, ...] | bytes]]) -> int:
    """Append a directory; return where it is. What doesn't fit into 4 bytes goes before it."""
    entries = b""
    for tag, kind, value in values:
        if isinstance(value, bytes):
            count, raw = len(value), value
        elif kind == RATIONAL:
            count, raw = 1, struct.pack("<II", *(int(part) for part in value))
        else:
            numbers = value if kind == FLOAT else tuple(int(part) for part in value)
            count, raw = len(value), struct.pack(f"<{len(value)}{CODES[kind]}", *numbers)
        if len(raw) > 4:
            place = len(stored)
            stored += raw + bytes(len(raw) % 2)
            raw = struct.pack("<I", place)
        entries += struct.pack("<HHI", tag, kind, count) + raw.ljust(4, b"\0")
    at = len(stored)
    stored += struct.pack("<H", len(values)) + entries + bytes(8) + bytes(4 * len(values))
    return at

"""A stored JPEG frame as a JPEG file of its own: the same coded px, with the shared tables, and with no word besides."""

import struct
from typing import Literal

from wsi.geometry import Size

_START, _END = b"\xff\xd8", b"\xff\xd9"
_TABLES = {0xDB, 0xC4, 0xDD}
"""DQT, DHT and DRI (ITU-T T.81, B.2.4)."""
_FRAMES = {0xC0, 0xC1}
"""Of one scan, with Huffman codes: baseline and extended sequential."""
_SCAN, _ADOBE, _JFIF = 0xDA, 0xEE, 0xE0
SAYS_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
"""Adobe's marker with transform 0: the three samples are red, green and blue as they are."""


def whole_jpeg(stored: bytes, size: Size, *, tables: bytes = b"", colors: Literal["RGB"] | None = None) -> bytes | None:
    """Return a frame as a file that any browser shows as we do; None where it can't be one.

    Comments and metadata are left out: only tables, the frame, its scan, and what tells its colors.

    Args:
        size: what it must hold.
        tables: a stream of tables that it shares with other frames (TIFF's JPEGTables).
        colors: "RGB" where the samples are that though the stream doesn't say so.
    """
    try:
        shared, own = _segments(tables), _segments(stored)
    except (struct.error, ValueError):
        return None
    heads = [body for marker, body in own if marker in _FRAMES]
    scans = [body for marker, body in own if marker == _SCAN]
    if len(heads) != 1 or len(scans) != 1 or heads[0][:6] != struct.pack(">BHHB", 8, size.height, size.width, 3):
        return None
    kept = [(m, b) for m, b in shared if m in _TABLES]
    kept += [(m, b) for m, b in own if m in _TABLES or m in _FRAMES or (m == _SCAN)]
    return _START + _colors(shared + own, colors) + b"".join(_written(marker, body) for marker, body in kept) + _END


def _colors(segments: list[tuple[int, bytes]], colors: Literal["RGB"] | None) -> bytes:
    """Return the marker that tells what the samples are, by libjpeg's order: JFIF's, then Adobe's, then what is known."""
    if any(marker == _JFIF and body[:5] == b"JFIF\0" for marker, body in segments):
        return _written(_JFIF, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    adobe = [body[:12] for marker, body in segments if marker == _ADOBE and body[:5] == b"Adobe"]
    if adobe:
        return _written(_ADOBE, adobe[-1])
    return SAYS_RGB if colors == "RGB" else b""


def _segments(stream: bytes) -> list[tuple[int, bytes]]:
    """Return marker and content of each segment; a scan's has its coded px behind its head.

    Raises:
        ValueError, struct.error: it isn't a whole JPEG stream.
    """
    if not stream:
        return []
    if stream[:2] != _START:
        raise ValueError("no JPEG stream")
    found, at = [], 2
    while stream[at : at + 2] != _END:
        start, marker, length = struct.unpack_from(">BBH", stream, at)
        if start != 0xFF or length < 2:
            raise ValueError("a damaged JPEG stream")
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2 + length
        if marker == _SCAN:
            end = stream.index(_END, end)  # within a scan 0xFF is followed by 0 or a restart marker only
        found.append((marker, stream[at + 4 : end]))
        at = end
    return found


def _written(marker: int, body: bytes) -> bytes:
    """Return a segment; the length of a scan's is that of its head, which says how many components it has."""
    length = 6 + 2 * body[0] if marker == _SCAN else len(body) + 2
    return bytes((0xFF, marker)) + struct.pack(">H", length) + body

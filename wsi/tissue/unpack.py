"""The bytes of an annotation file, out of gzip or zip, never more than a slide's annotations can be."""

import gzip
import lzma
import struct
import zipfile
import zlib
from pathlib import Path

from wsi.errors import AnnotationError

MAX_BYTES = 64 << 20
"""Unpacked; parsed, the worst file of this size takes about 1 GB."""
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)
"""What the standard library raises over damaged or encrypted archives."""


def unpacked(path: Path) -> bytes:
    """Return the file's content; AnnotationError when it can't be read, is empty or is too large."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if content[:2] == b"\x1f\x8b":
            with gzip.open(path) as packed:
                content = packed.read(MAX_BYTES + 1)
        elif content[:4] == b"PK\x03\x04":
            content = _zipped(path)
    except AnnotationError:
        raise
    except _DAMAGE as error:
        raise AnnotationError(f"{path.name}: can't be read ({error}); export it once more") from error
    if not content.strip():
        raise AnnotationError(f"{path.name}: it is empty; expected the annotations of one slide")
    if len(content) > MAX_BYTES:
        raise AnnotationError(f"{path.name}: more than {MAX_BYTES >> 20} MB; expected the annotations of one slide")
    return content


def _zipped(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.lower().endswith((".geojson", ".json"))]
        names = [name for name in names if not name.startswith("__MACOSX/")]
        if len(names) != 1:
            raise AnnotationError(f"{path.name}: it holds {len(names)} .geojson files; expected one")
        with archive.open(names[0]) as file:
            return file.read(MAX_BYTES + 1)

"""Is a file a whole slide? Told from its first bytes and pages, for models that read images whole."""

import struct
from pathlib import Path

import tifffile

from wsi.errors import ModalityError
from wsi.read.sniff import is_tiff

SUFFIXES = frozenset({".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".czi", ".isyntax"})
"""Of formats that nothing but slides is stored in."""
_FAULTS = (
    tifffile.TiffFileError, OSError, ValueError, KeyError, IndexError, TypeError, RuntimeError, ArithmeticError, struct.error,
)  # fmt: skip
"""What tifffile raises on damaged files, which the reader then tells of."""
_EXPECTED = "expected a picture or a volume: choose a model for slides"


def refuse_slide(path: Path, name: str) -> None:
    """Raise ModalityError for a whole slide: by its suffix, or a TIFF of several pages whose first is cut into tiles."""
    if path.suffix.lower() in SUFFIXES or _is_pyramid(path):
        raise ModalityError(f"{name}: a whole-slide image; {_EXPECTED}")


def _is_pyramid(path: Path) -> bool:
    try:
        if not is_tiff(path):
            return False
        with tifffile.TiffFile(path) as file:
            return len(file.pages) > 1 and bool(file.pages.first.is_tiled)
    except _FAULTS:
        return False  # damaged: the reader says how

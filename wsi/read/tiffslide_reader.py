"""TIFFs that OpenSlide can't open, or of which it sees fewer levels: OME-TIFF with SubIFDs, QuPath's, plain ones."""

import contextlib
import io
import struct
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tifffile
import tiffslide

from wsi.errors import FormatError, SlideError, UnreadableError
from wsi.geometry import Mpp
from wsi.read.framed_source import FramedSource
from wsi.read.scale import ome_mpp, stated_mpp, tiff_tag_mpp
from wsi.read.source import KEPT_PROPERTIES
from wsi.read.stored import stored_frames
from wsi.read.tiff_frames import tiff_frames

NAME = "tiffslide"
_FAULTS = (
    tifffile.TiffFileError,
    tiffslide.TiffFileError,
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    AssertionError,
    RuntimeError,
    ArithmeticError,
    SyntaxError,
    struct.error,
)
"""What tiffslide and tifffile raise on damaged files (SyntaxError is that of XML)."""


class TiffSlideSource(FramedSource):
    """A slide that tiffslide opened; its frames are decoded here, so that a damaged one is noticed."""

    reader = NAME

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        try:
            with _named_faults():
                self._slide, found, pages = _opened(self._file)
                super().__init__([tiff_frames(page, stored_frames(page)) for page in pages])
        except SlideError:
            self._file.close()
            raise
        named = {f"openslide.{k.removeprefix('tiffslide.')}": v for k, v in found.items() if v is not None}
        self.properties: Mapping[str, str] = {k: str(named[k]) for k in KEPT_PROPERTIES if k in named}
        # tiffslide names the resolution tags among its properties where it took mpp from them.
        from_tags = "tiff.XResolution" in found
        stated = None if from_tags else stated_mpp(named, "openslide.mpp-x", "openslide.mpp-y")
        self.metadata_mpp: Mpp | None = ome_mpp(self._slide.ts_tifffile) or stated or tiff_tag_mpp(path)

    def close(self) -> None:
        super().close()
        self._slide.close()
        self._file.close()


@contextlib.contextmanager
def _named_faults() -> Iterator[None]:
    """Turn what tiffslide and tifffile raise into errors of this tool."""
    try:
        yield
    except SlideError:
        raise
    except NotImplementedError as error:
        raise FormatError(f"tiffslide: {error}; export the slide as 8-bit RGB in tiles") from error
    except _FAULTS as error:
        raise UnreadableError(f"tiffslide: {str(error) or type(error).__name__}") from error


def _opened(file: io.BufferedReader) -> tuple[tiffslide.TiffSlide, dict[str, Any], list[Any]]:
    """Return the slide, its properties and the page of each level."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it knows little of Ventana's and Hamamatsu's metadata
        slide = tiffslide.TiffSlide(file)
        found = dict(slide.properties)
    series = slide.ts_tifffile.series[found.get("tiffslide.series-index", 0)]
    return slide, found, [level.keyframe for level in series.levels]

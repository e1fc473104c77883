"""TIFFs that OpenSlide can't open, or of which it sees fewer levels: OME-TIFF with SubIFDs, QuPath's, plain ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import tiffslide
from numpy.typing import NDArray

from wsi.errors import FormatError, RegionError, UnreadableError
from wsi.geometry import Bounds, Level, Mpp, Point, Region, Size
from wsi.read.frames import Frames
from wsi.read.scale import stated_mpp, tiff_tag_mpp
from wsi.read.source import KEPT_PROPERTIES

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
    NotImplementedError,
    RuntimeError,
    ArithmeticError,
)
"""What tiffslide and tifffile raise on damaged files."""


class TiffSlideSource:
    """A slide that tiffslide opened; its frames are decoded here, so that a damaged one is noticed."""

    reader = NAME

    def __init__(self, path: Path) -> None:
        try:
            self._slide = tiffslide.TiffSlide(path)
            found = dict(self._slide.properties)
            series = self._slide.ts_tifffile.series[found.get("tiffslide.series-index", 0)]
            pages = [level.keyframe for level in series.levels]
        except _FAULTS as error:
            raise UnreadableError(f"tiffslide: {error or type(error).__name__}") from error
        self._frames = [Frames(_checked(page)) for page in pages]
        full = self._frames[0].size
        self.levels = tuple(Level(frames.size, _downsample(full, frames.size)) for frames in self._frames)
        self.bounds = Bounds(Point(0, 0), full)
        named = {f"openslide.{k.removeprefix('tiffslide.')}": v for k, v in found.items() if v is not None}
        self.properties: Mapping[str, str] = {k: str(named[k]) for k in KEPT_PROPERTIES if k in named}
        self.metadata_mpp: Mpp | None = _ome_mpp(self._slide) or (
            None if _from_tags(found) else stated_mpp(named, "openslide.mpp-x", "openslide.mpp-y")
        )
        if self.metadata_mpp is None:
            self.metadata_mpp = tiff_tag_mpp(path)

    def read_region(self, region: Region, /) -> NDArray[np.uint8]:
        frames, downsample = self._frames[region.level], self.levels[region.level].downsample
        x, y = round(region.location.x / downsample), round(region.location.y / downsample)
        try:
            return frames.read(x, y, region.size)
        except RegionError as error:
            raise RegionError(f"level {region.level}, {region.location.x}, {region.location.y}: {error}") from error

    def close(self) -> None:
        self._slide.close()


def _checked(page: Any) -> Any:
    if page.planarconfig != 1 or page.samplesperpixel not in (3, 4) or page.dtype != np.uint8:
        raise FormatError(
            f"tiffslide: px of {page.samplesperpixel} x {page.dtype}, stored {'apart' if page.planarconfig != 1 else 'together'}; "
            "expected 8-bit RGB, stored together"
        )
    return page


def _downsample(full: Size, size: Size) -> float:
    return (full.width / size.width + full.height / size.height) / 2


def _from_tags(found: Mapping[str, Any]) -> bool:
    """Return whether tiffslide took its mpp from the resolution tags, as it does for TIFFs without a vendor."""
    return str(found.get("tiffslide.vendor", "generic-tiff")).startswith("generic")


def _ome_mpp(slide: tiffslide.TiffSlide) -> Mpp | None:
    """Return the physical size that OME-XML states for the first image, in µm."""
    file = slide.ts_tifffile
    if not file.is_ome:
        return None
    try:
        images = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
        pixels = (images[0] if isinstance(images, list) else images)["Pixels"]
    except (KeyError, TypeError, ValueError, IndexError, SyntaxError):
        return None
    units = [pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in "XY"]
    scale = {"µm": 1.0, "um": 1.0, "μm": 1.0, "nm": 1e-3, "mm": 1e3}
    if any(unit not in scale for unit in units):
        return None
    stated = stated_mpp(pixels, "PhysicalSizeX", "PhysicalSizeY")
    return stated and Mpp(stated.x * scale[units[0]], stated.y * scale[units[1]], source="metadata")

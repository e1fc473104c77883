"""Slides through OpenSlide: Aperio, Hamamatsu, Leica, MIRAX, Philips, Trestle, Ventana, Zeiss, DICOM, tiled TIFF."""

import contextlib
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openslide
from numpy.typing import NDArray
from PIL import Image

from wsi.errors import RegionError, UnreadableError
from wsi.geometry import Bounds, Level, Mpp, Point, Region, Size, downsample_of
from wsi.printable import told_of
from wsi.read.holes import find_holes
from wsi.read.scale import ome_file_mpp, stated_mpp, tiff_tag_mpp
from wsi.read.sniff import is_tiff
from wsi.read.source import KEPT_PROPERTIES

NAME = "openslide"
CACHE_BYTES = 32 << 20
"""Decoded frames kept: a row of tiles shares them with its neighbors."""


class OpenSlideSource:
    """A slide that OpenSlide opened, once a thread. After an error a handle is dead, so it is opened anew."""

    reader = NAME

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handles: dict[int, openslide.OpenSlide] = {}
        slide = self._slide()
        found = slide.properties
        self.properties: Mapping[str, str] = {k: found[k] for k in KEPT_PROPERTIES if k in found}
        sizes = [Size(*dimensions) for dimensions in slide.level_dimensions]
        self._downsamples: tuple[float, ...] = slide.level_downsamples
        self.levels = tuple(Level(size, downsample_of(sizes[0], size)) for size in sizes)
        self.bounds = _bounds(self.properties, sizes[0])
        # Without a vendor OpenSlide takes its mpp from the resolution tags, which printers' dpi may have got into.
        plain = self.properties.get("openslide.vendor") == "generic-tiff"
        stated = stated_mpp(self.properties, "openslide.mpp-x", "openslide.mpp-y", "tiff-tags" if plain else "metadata")
        self.metadata_mpp: Mpp | None = (ome_file_mpp(path) if plain else None) or stated
        if self.metadata_mpp is None and is_tiff(path):
            self.metadata_mpp = tiff_tag_mpp(path)
        self._holes = find_holes(path, sizes) if is_tiff(path) else {}

    def read_region(self, region: Region, /) -> NDArray[np.uint8]:
        at, level, size = region.location, region.level, region.size
        where = f"level {level}, {size.width} x {size.height} px at {at.x}, {at.y}"
        # OpenSlide divides by the ratio of the rounded sizes, which drifts away from the true place.
        x, y = at.x / self.levels[level].downsample, at.y / self.levels[level].downsample
        if level in self._holes and self._holes[level].touch(x, y, size):
            raise RegionError(f"{where}: a frame was never stored")
        location = (round(x * self._downsamples[level]), round(y * self._downsamples[level]))
        try:
            pixels = self._slide().read_region(location, level, (size.width, size.height))
        except openslide.OpenSlideError as error:
            self._handles.pop(threading.get_ident()).close()
            raise RegionError(f"{where}: {told_of(self._path, error)}") from error
        return _on_white(pixels)

    def _slide(self) -> openslide.OpenSlide:
        """Return this thread's own handle: one thread's error must not take the slide from the others."""
        me = threading.get_ident()
        if me not in self._handles:
            self._handles[me] = _opened(self._path)
        return self._handles[me]

    def close(self) -> None:
        for slide in self._handles.values():
            slide.close()
        self._handles.clear()


def _opened(path: Path) -> openslide.OpenSlide:
    try:
        slide = openslide.OpenSlide(path)
        slide.set_cache(openslide.OpenSlideCache(CACHE_BYTES))
    except (openslide.OpenSlideError, OSError, ValueError) as error:
        raise UnreadableError(f"OpenSlide: {told_of(path, error) or 'not a format it knows'}") from error
    return slide


def _bounds(properties: Mapping[str, str], size: Size) -> Bounds:
    """Return the part of level 0 that holds the scan; the whole where the file doesn't say, or says nonsense."""
    with contextlib.suppress(KeyError, ValueError):
        x, y, width, height = (int(properties[f"openslide.bounds-{k}"]) for k in ("x", "y", "width", "height"))
        if x >= 0 and y >= 0 and width > 0 and height > 0 and x < size.width and y < size.height:
            return Bounds(Point(x, y), Size(min(width, size.width - x), min(height, size.height - y)))
    return Bounds(Point(0, 0), size)


def _on_white(pixels: Image.Image) -> NDArray[np.uint8]:
    """Return RGBA px, as OpenSlide gives them, laid on white."""
    alpha = pixels.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return np.asarray(pixels.convert("RGB"))
    ground = Image.new("RGB", pixels.size, (255, 255, 255))
    ground.paste(pixels.convert("RGB"), mask=alpha)
    return np.asarray(ground)

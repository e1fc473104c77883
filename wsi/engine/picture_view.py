"""A picture that was read whole, to look at: upright and in the px that its model and its mask were told in."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi.errors import FormatError
from wsi.geometry import Bounds, Level, Mpp, Point, Region, Size
from wsi.read.field_reader import read_field
from wsi.tissue.view import colors

COARSEST_PX = 1024
"""Levels, each half of the one before, are made until the longest side is at most this."""


class PictureSource:
    """A picture as a source of px: held in memory with its levels, a third more than the picture itself."""

    reader = "picture"
    properties: Mapping[str, str] = {}
    metadata_mpp: Mpp | None = None

    def __init__(self, path: Path) -> None:
        """Read a picture; FormatError when it has other than two axes."""
        field = read_field([path]).field
        if len(field.axes) != 2:
            raise FormatError(f"{path.name}: not a picture but a volume; its slices are looked at elsewhere")
        self._pictures = [colors(field)]
        while max(self._pictures[-1].shape) > COARSEST_PX:
            self._pictures.append(np.asarray(Image.fromarray(self._pictures[-1]).reduce(2)))
        full = self._pictures[0].shape[1]
        sizes = [Size(picture.shape[1], picture.shape[0]) for picture in self._pictures]
        self.levels = tuple(Level(size, full / size.width) for size in sizes)
        self.bounds = Bounds(Point(0, 0), sizes[0])

    def read_region(self, region: Region, /) -> NDArray[np.uint8]:
        picture, downsample = self._pictures[region.level], self.levels[region.level].downsample
        left, top = round(region.location.x / downsample), round(region.location.y / downsample)
        found = np.full((region.size.height, region.size.width, 3), 255, np.uint8)
        part = picture[max(top, 0) : top + region.size.height, max(left, 0) : left + region.size.width]
        down, right = max(-top, 0), max(-left, 0)
        found[down : down + part.shape[0], right : right + part.shape[1]] = part
        return found

    def close(self) -> None:
        self._pictures = [picture[:0] for picture in self._pictures]

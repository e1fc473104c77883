"""What every source has in common whose levels are frames that we decode ourselves."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wsi.errors import RegionError
from wsi.geometry import Bounds, Level, Point, Region, Size, downsample_of
from wsi.read.frames import Frames


class FramedSource:
    """Levels of frames, the largest first; regions of them, and the frames as they are stored."""

    def __init__(self, frames: Sequence[Frames]) -> None:
        full = frames[0].size
        self._frames = list(frames)
        self.levels = tuple(Level(level.size, downsample_of(full, level.size)) for level in frames)
        self.bounds = Bounds(Point(0, 0), full)

    def shrinks(self, level: int, /) -> tuple[int, ...]:
        return self._frames[level].shrinks

    def frame_size(self, level: int, /) -> Size | None:
        return self._frames[level].frame_size

    def jpeg_frame(self, level: int, column: int, row: int, /) -> bytes | None:
        return self._frames[level].jpeg_file(column, row)

    def frame_px(self, level: int, column: int, row: int, /) -> NDArray[np.uint8] | None:
        return self._frames[level].inside(column, row)

    def read_region(self, region: Region, /) -> NDArray[np.uint8]:
        frames, downsample = self._frames[region.level], self.levels[region.level].downsample
        step = downsample * region.shrink
        x, y = round(region.location.x / step), round(region.location.y / step)
        try:
            return frames.read(x, y, region.size, shrink=region.shrink)
        except RegionError as error:
            raise RegionError(f"level {region.level}, {region.location.x}, {region.location.y}: {error}") from error

    def forget(self) -> None:
        for frames in self._frames:
            frames.forget()

    def close(self) -> None:
        self._frames = []

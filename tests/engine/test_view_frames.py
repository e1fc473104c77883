"""Frames put together to what is looked at: the px of the level, each frame decoded once while there is room."""

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from wsi.engine.view_frames import ViewFrames
from wsi.errors import RegionError
from wsi.geometry import Bounds, Level, Mpp, Point, Region, Size

WIDTH, HEIGHT, FRAME = 500, 330, Size(200, 64)
PICTURE = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)


class Strips:
    """A source whose frames are wide and low; `lost` ones can't be told by a frame, `damaged` ones not be decoded."""

    reader = "strips"
    levels = (Level(Size(WIDTH * 4, HEIGHT * 4), 1.0), Level(Size(WIDTH, HEIGHT), 4.0))
    bounds = Bounds(Point(0, 0), Size(WIDTH * 4, HEIGHT * 4))
    metadata_mpp: Mpp | None = None
    properties: Mapping[str, str] = {}

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.lost: set[tuple[int, int]] = set()
        self.damaged: set[tuple[int, int]] = set()

    def frame_size(self, level: int, /) -> Size | None:
        return FRAME if level == 1 else None

    def jpeg_frame(self, level: int, column: int, row: int, /) -> bytes | None:
        return None

    def frame_px(self, level: int, column: int, row: int, /) -> NDArray[np.uint8] | None:
        self.asked.append((column, row))
        if (column, row) in self.damaged:
            raise RegionError("a damaged frame")
        if (column, row) in self.lost:
            return None
        x, y = column * FRAME.width, row * FRAME.height
        return PICTURE[y : y + FRAME.height, x : x + FRAME.width]

    def read_region(self, region: Region, /) -> NDArray[np.uint8]:
        return np.full((region.size.height, region.size.width, 3), 7, np.uint8)

    def close(self) -> None:
        """Nothing is open."""


def region(x: int, y: int, width: int, height: int, level: int = 1) -> Region:
    return Region(Point(x * 4, y * 4), level, Size(width, height))


@pytest.mark.parametrize("box", [(0, 0, 256, 256), (190, 60, 20, 10), (300, 200, 200, 130), (499, 329, 1, 1)])
def test_region_is_the_levels_px(box: tuple[int, int, int, int]) -> None:
    x, y, width, height = box
    assert np.array_equal(ViewFrames().region(Strips(), region(*box)), PICTURE[y : y + height, x : x + width])


def test_what_lies_beyond_the_level_is_white() -> None:
    found = ViewFrames().region(Strips(), region(400, 300, 256, 256))
    assert np.array_equal(found[:30, :100], PICTURE[300:, 400:])
    assert (found[30:] == 255).all()
    assert (found[:, 100:] == 255).all()


def test_each_frame_is_decoded_once() -> None:
    source, frames = Strips(), ViewFrames()
    for x in (0, 50, 100, 0):
        frames.region(source, region(x, 0, 90, 100))
    assert source.asked == [(0, 0), (0, 1)]


def test_no_more_is_kept_than_there_is_room_for_and_nothing_of_what_is_closed() -> None:
    frame_bytes = FRAME.area * 3
    source, frames = Strips(), ViewFrames(3 * frame_bytes)
    for row in range(5):
        frames.region(source, region(0, row * FRAME.height, 10, 10))
        assert frames.bytes <= 3 * frame_bytes
    frames.region(source, region(0, 4 * FRAME.height, 10, 10))
    assert len(source.asked) == 5
    frames.region(source, region(0, 0, 10, 10))
    assert len(source.asked) == 6, "the one longest unused was dropped"
    frames.forget(source)
    assert frames.bytes == 0


def test_frame_larger_than_the_room_is_still_shown() -> None:
    source, frames = Strips(), ViewFrames(1)
    assert np.array_equal(frames.region(source, region(0, 0, 300, 20)), PICTURE[:20, :300])
    assert frames.bytes == FRAME.area * 3


def test_what_frames_do_not_tell_is_read_another_way() -> None:
    source = Strips()
    source.lost = {(1, 1)}
    assert (ViewFrames().region(source, region(150, 50, 100, 50)) == 7).all()
    assert (ViewFrames().region(source, region(0, 0, 10, 10, level=0)) == 7).all()


def test_damaged_frame_is_told_and_not_kept() -> None:
    source, frames = Strips(), ViewFrames()
    source.damaged = {(0, 0)}
    for _ in range(2):
        with pytest.raises(RegionError):
            frames.region(source, region(0, 0, 10, 10))
    assert (frames.bytes, source.asked) == (0, [(0, 0)] * 2)

"""Pixels of a tile: at their exact scale and place, from the best level, as a plain careful reader would cut them."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests import make
from wsi.errors import RegionError
from wsi.geometry import Bounds, Level, Mpp, Point, Region, Size
from wsi.read import Source, open_slide
from wsi.tile import Footprint, Window, best_reading, cut, find_window, read_tile, read_window, tile_footprint

GRAY_LEVELS = 2.0
"""Mean difference from an antialiased resample of level 0: levels are stored rounded, and averaged by a box."""


class Memory:
    """A drawn pyramid in memory that notes which regions are read."""

    reader = "memory"
    properties: Mapping[str, str] = {}
    metadata_mpp: Mpp | None = None

    def __init__(self, pixels: make.Pixels, *, levels: int = 1, step: int = 2) -> None:
        self.pictures = make.pyramid(pixels, levels, step)
        sizes = [Size(p.shape[1], p.shape[0]) for p in self.pictures]
        self.levels = tuple(Level(size, float(step**i)) for i, size in enumerate(sizes))
        self.bounds = Bounds(Point(0, 0), sizes[0])
        self.asked: list[Region] = []

    def read_region(self, region: Region, /) -> NDArray[np.uint8]:
        """Return the px; white beyond the slide."""
        self.asked.append(region)
        picture, step = self.pictures[region.level], self.levels[region.level].downsample
        x, y = round(region.location.x / step), round(region.location.y / step)
        found = np.full((region.size.height, region.size.width, 3), 255, np.uint8)
        left, top = max(x, 0), max(y, 0)
        part = picture[top : y + region.size.height, left : x + region.size.width]
        found[top - y : top - y + part.shape[0], left - x : left - x + part.shape[1]] = part
        return found

    def close(self) -> None:
        """Nothing is open."""


def _plain(pixels: make.Pixels, x: int, y: int, footprint: Footprint, tile_px: int) -> NDArray[np.float64]:
    """Return the tile as level 0 and Pillow alone give it."""
    width, height = math.ceil(footprint.x), math.ceil(footprint.y)
    region = Memory(pixels).read_region(Region(Point(x, y), 0, Size(width, height)))
    size, box = (tile_px, tile_px), (0, 0, footprint.x, footprint.y)
    return np.asarray(Image.fromarray(region).resize(size, Image.Resampling.BICUBIC, box=box), np.float64)


@pytest.mark.parametrize(
    ("slide_mpp", "tile_mpp"),
    [
        *((mpp, 0.5) for mpp in (0.2, 0.2265, 0.25, 0.2527, 0.263, 0.3452, 0.4, 0.499, 0.5, 0.62)),
        *((1.0, 1.0), (0.9, 1.0), (0.25, 1.0), (0.263, 2.0), (0.499, 2.0)),
    ],
)
def test_distance_between_landmarks_is_true_to_half_a_percent(
    tmp_path: Path, slide_mpp: float, tile_mpp: float
) -> None:
    tile_px = 224
    covers = tile_px * tile_mpp  # µm
    side = math.ceil(covers / slide_mpp) + 40
    places = [(0.15 * covers, 0.2 * covers), (0.85 * covers, 0.2 * covers), (0.15 * covers, 0.8 * covers)]
    discs = [make.Disc(x / slide_mpp + 16, y / slide_mpp + 8, 0.05 * covers / slide_mpp) for x, y in places]
    mask = make.disc_mask(side, side, discs)
    drawn = np.where(mask[..., None], np.uint8(0), np.uint8(255)).repeat(3, axis=2)
    source = open_slide(make.write_tiff(tmp_path / "s.tiff", drawn, mpp=slide_mpp, levels=4))
    steps = tuple(level.downsample for level in source.levels)
    footprint = tile_footprint(tile_px, tile_mpp, Mpp(slide_mpp, slide_mpp, source="metadata"), downsamples=steps)
    tile = read_tile(source, 16, 8, footprint=footprint, tile_px=tile_px)
    source.close()
    found = _centers(255 - tile[..., 0], tile_px)
    across, down = found[1] - found[0], found[2] - found[0]
    assert across[0] * tile_mpp == pytest.approx(0.7 * covers, rel=0.005)
    assert down[1] * tile_mpp == pytest.approx(0.6 * covers, rel=0.005)
    assert found[0] == pytest.approx([0.15 * tile_px, 0.2 * tile_px], abs=0.6), "and the tile starts where it should"


def _centers(ink: NDArray[np.uint8], side: int) -> list[NDArray[np.float64]]:
    """Return the centers of ink (x, y) in the quarters at the top left, the top right and the bottom left."""
    half, found = side // 2, []
    for top, left in ((0, 0), (0, half), (half, 0)):
        part = ink[top : top + half, left : left + half].astype(np.float64)
        rows, columns = np.mgrid[top : top + half, left : left + half] + 0.5
        found.append(np.array([(part * columns).sum(), (part * rows).sum()]) / part.sum())
    return found


@pytest.mark.parametrize("step", [2, 4])
@pytest.mark.parametrize("scale", [0.8, 1.0, 1.3, 1.9011, 2.0, 2.004, 3.1, 4.0, 7.7])
def test_tile_is_what_level_0_and_an_antialiased_resample_give(scale: float, step: int) -> None:
    picture, tile_px = make.small_picture(), 64
    source = Memory(picture, levels=3, step=step)
    footprint = Footprint(tile_px * scale, tile_px * scale)
    for x, y in ((0, 0), (301, 207), (333, 155), (612, 395)):
        tile = read_tile(source, x, y, footprint=footprint, tile_px=tile_px)
        assert tile.shape == (tile_px, tile_px, 3)
        assert tile.dtype == np.uint8
        assert np.abs(tile - _plain(picture, x, y, footprint, tile_px)).mean() <= GRAY_LEVELS


@pytest.mark.parametrize(("scale", "level"), [(1.0, 0), (1.9, 0), (2.0, 1), (3.9, 1), (4.0, 2), (40.0, 2)])
def test_best_level_is_read_and_no_more_than_the_tile_needs(scale: float, level: int) -> None:
    source = Memory(make.small_picture(), levels=3)
    read_tile(source, 0, 0, footprint=Footprint(16 * scale, 16 * scale), tile_px=16)
    (asked,) = source.asked
    assert asked.level == level
    side = math.ceil(16 * scale / 2**level)
    assert asked.size == Size(side, side)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_px_that_fit_one_to_one_are_returned_as_they_are(level: int) -> None:
    source = Memory(make.small_picture(), levels=3)
    side = 50 << level
    at, footprint = (80 << level, 40 << level), Footprint(side, side)
    tile = read_tile(source, *at, footprint=footprint, tile_px=50)
    assert np.array_equal(tile, source.pictures[level][40:90, 80:130])
    reading = best_reading(source, footprint, 50)
    window = find_window(reading.step, np.array([at], np.int32), footprint=footprint, tile_px=50)
    assert window == Window(Size(50, 50), (1.0, 1.0))
    assert window.is_tile
    assert np.array_equal(read_window(source, *at, reading=reading, size=window.size), tile)


@pytest.mark.parametrize(("x", "side", "tile_px", "step"), [(1, 100, 50, 2.0), (0, 106, 50, 1.0), (0, 9000, 4500, 2.0)])
def test_tiles_between_px_or_much_smaller_or_huge_have_no_window(x: int, side: int, tile_px: int, step: float) -> None:
    coords, footprint = np.array([(x, 0)], np.int32), Footprint(side, side)
    assert find_window(step, coords, footprint=footprint, tile_px=tile_px) is None


def test_border_tile_is_padded_with_white() -> None:
    picture = np.full((100, 130, 3), 90, np.uint8)
    for scale in (1.0, 0.5, 2.0):
        side = 64 * scale
        tile = read_tile(Memory(picture), 100, 60, footprint=Footprint(side, side), tile_px=64)
        edge_x, edge_y = round(30 / scale), round(40 / scale)
        # A bicubic resample blends two px of the coarser grid on either side of the edge.
        blend = 0 if scale == 1 else math.ceil(2 / scale) + 1
        assert (tile[: edge_y - blend, : edge_x - blend] == 90).all()
        assert (tile[edge_y + blend :] == 255).all()
        assert (tile[:, edge_x + blend :] == 255).all()


def test_very_large_footprint_is_cut_in_pieces_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut, "MAX_READ_PX", 300)
    rows, columns = np.mgrid[0:900, 0:900]
    picture = np.stack([columns // 4, rows // 4, (columns + rows) // 8], axis=2).astype(np.uint8)
    for tile_px in (64, 65):
        source, footprint = Memory(picture), Footprint(900.0, 900.0)
        tile = read_tile(source, 0, 0, footprint=footprint, tile_px=tile_px)
        assert max(max(asked.size.width, asked.size.height) for asked in source.asked) <= 300
        assert len(source.asked) > 4
        assert np.abs(tile - _plain(picture, 0, 0, footprint, tile_px)).mean() <= 0.5


def test_only_tiles_over_an_undecodable_frame_are_errors(tmp_path: Path) -> None:
    picture = make.small_picture()
    path = make.write_svs(tmp_path / "s.svs", picture, compression="deflate", levels=1)
    clean = open_slide(path)
    whole = {(x, y): _tile(clean, x, y) for x in range(0, 900, 100) for y in range(0, 600, 100)}
    clean.close()
    make.damage_tiles(path, [5])  # x 256 to 512, y 256 to 512
    source = open_slide(path)
    for (x, y), expected in whole.items():
        if x < 512 and x + 100 > 256 and y < 512 and y + 100 > 256:
            with pytest.raises(RegionError):
                _tile(source, x, y)
        else:
            assert np.array_equal(_tile(source, x, y), expected)
    source.close()


def _tile(source: Source, x: int, y: int) -> NDArray[np.uint8]:
    return read_tile(source, x, y, footprint=Footprint(100.0, 100.0), tile_px=50)


class Shrinking(Memory):
    """A level that can be decoded at a fraction of its size, as JPEG can."""

    def shrinks(self, level: int, /) -> tuple[int, ...]:
        return (1, 2, 4, 8)

    def read_region(self, region: Region, /) -> NDArray[np.uint8]:
        self.asked.append(region)
        return np.zeros((region.size.height, region.size.width, 3), np.uint8)


@pytest.mark.parametrize(("ratio", "shrink"), [(1.0, 1), (1.9, 1), (2.0, 2), (3.9, 2), (7.9, 2), (8.0, 4), (16.0, 8)])
def test_jpeg_level_is_shrunk_as_far_as_the_tile_allows(ratio: float, shrink: int) -> None:
    source, footprint = Shrinking(np.zeros((64, 64, 3), np.uint8)), Footprint(32 * ratio, 32 * ratio)
    read_tile(source, 0, 0, footprint=footprint, tile_px=32)
    plain = best_reading(source, footprint, 32, scaled=False)
    read_tile(source, 0, 0, footprint=footprint, tile_px=32, reading=plain)
    assert [region.shrink for region in source.asked] == [shrink, 1]

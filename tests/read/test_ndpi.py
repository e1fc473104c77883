"""NDPI: strips between restart markers, joined to bands and decoded without OpenSlide."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from tests import make
from tests.make_ndpi import write_ndpi
from wsi.errors import RegionError
from wsi.geometry import Point, Region, Size
from wsi.read import open_slide
from wsi.read.direct_source import DirectSource
from wsi.read.openslide_reader import OpenSlideSource
from wsi.read.stored import BAND_PX, stored_frames

PICTURE = make.draw_tissue(1024, 704, seed=5)
PLACES = [(0, 0, 256, 256), (200, 100, 300, 300), (700, 500, 324, 204), (-20, 650, 90, 70), (0, 248, 1024, 16)]


@pytest.fixture(scope="module", params=[0, 512, 256], ids=["one strip across", "two", "four"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    levels = 1 if request.param else 3
    return write_ndpi(tmp_path_factory.mktemp("ndpi") / "slide.ndpi", PICTURE, strip=request.param, levels=levels)


@pytest.mark.parametrize("place", PLACES)
def test_px_are_openslides_and_openslide_isnt_asked(
    path: Path, place: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = open_slide(path), OpenSlideSource(path)
    assert isinstance(ours, DirectSource)
    assert ours.properties["openslide.vendor"] == "hamamatsu"
    with tifffile.TiffFile(path) as file:
        stored = len(file.pages)
    for number, level in enumerate(ours.levels[:stored]):  # OpenSlide makes further ones of the last
        assert 8 in ours.shrinks(number)
        region = Region(Point(*(round(p * level.downsample) for p in place[:2])), number, Size(*place[2:]))
        expected = theirs.read_region(region)
        with monkeypatch.context() as patch:
            patch.setattr(ours._inner, "read_region", _refuse)
            np.testing.assert_array_equal(ours.read_region(region), expected)
    ours.close()
    theirs.close()


def _refuse(region: Region) -> NDArray[np.uint8]:
    raise AssertionError("OpenSlide was asked for px")


def test_bands_hold_each_strip_once(path: Path) -> None:
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        found = stored_frames(page)
        assert found.size == Size(page.tilewidth, BAND_PX)
        assert found.counts.sum() == sum(page.databytecounts)
        assert len(found.counts) == -(-704 // BAND_PX) * (1024 // found.size.width)


def test_a_damaged_strip_costs_its_band(tmp_path: Path) -> None:
    path = write_ndpi(tmp_path / "slide.ndpi", PICTURE, levels=1)
    top = Region(Point(0, 0), 0, Size(1024, 256))
    with closing(open_slide(path)) as slide:
        whole = slide.read_region(top)
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        at, count = page.dataoffsets[40], page.databytecounts[40]
    stored = bytearray(path.read_bytes())
    stored[at + 2 : at + count // 2] = b"\xff\xd9" * ((count // 2 - 2) // 2) + b"\0" * (count // 2 % 2)
    path.write_bytes(stored)
    with closing(open_slide(path)) as slide:
        np.testing.assert_array_equal(slide.read_region(top), whole)
        with pytest.raises(RegionError):
            slide.read_region(Region(Point(0, 300), 0, Size(256, 64)))

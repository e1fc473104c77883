"""Real slides, good and bad, where they are at hand: set WSI_DATA to a folder that holds slides/ and malformed/."""

import itertools
import math
import os
import re
from pathlib import Path

import numpy as np
import openslide
import pytest
from PIL import Image

from wsi.config import ReadConfig
from wsi.errors import SlideError
from wsi.geometry import Point, Region, Size, best_level
from wsi.read import Source, check_brightfield, open_slide, resolve_mpp
from wsi.tile import read_tile, tile_footprint

DATA = os.environ.get("WSI_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="WSI_DATA is not set")

EXPECTED: dict[str, tuple[str, int, float | None, str]] = {
    # file: reader, levels, µm per px, code
    "slides/CMU-1-Small-Region.svs": ("openslide", 1, 0.499, ""),
    "slides/OS-1-detail.ome.tif": ("tiffslide", 1, 0.2271, ""),
    "slides/OS-2-ndpi.ome.tif": ("tiffslide", 1, 0.2271, ""),
    "slides/TCGA-CR-7395-01A-01-TS1.svs": ("openslide", 2, None, "E_MPP_MISSING"),
    "slides/adenoma-HE-nompp.tiff": ("openslide", 3, None, "E_MPP_MISSING"),
    "slides/camelyon-multiframe.dcm": ("openslide", 1, None, "E_MPP_RANGE"),
    "slides/crohn-HE4-10x.ome.tif": ("tiffslide", 4, 1.052, ""),
    "slides/hamamatsu-test3-DAPI.ndpi": ("openslide", 7, None, "E_MODALITY"),
    "slides/lung-scc-HE2.svs": ("openslide", 3, 0.263, ""),
    "slides/lung-scc-HE3.tiff": ("openslide", 6, 0.263, ""),
    "slides/pdac-trucut-HE3-20x-dicom/vol_11396.dcm": ("openslide", 3, 0.526, ""),
    "slides_tiny/boxes-dicom/boxes_0.dcm": ("openslide", 1, 0.499, ""),
    "slides_tiny/boxes.tiff": ("openslide", 4, None, "E_MPP_RANGE"),
    "slides_tiny/small.svs": ("openslide", 1, 0.499, ""),
    "slides_tiny/😐 ünïcode.svs": ("openslide", 1, 0.499, ""),
    "malformed/lfs-pointer.tiff": ("", 0, None, "E_UNREADABLE"),
    "malformed/text-named-broken.svs": ("", 0, None, "E_UNREADABLE"),
    "malformed/truncated-60pct-CMU-1-Small-Region.svs": ("", 0, None, "E_UNREADABLE"),
    "malformed/unopenable.tiff": ("", 0, None, "E_UNREADABLE"),
    "malformed/unreadable.svs": ("", 0, None, "E_UNREADABLE"),
    "malformed/zero-byte.svs": ("", 0, None, "E_UNREADABLE"),
}


def _at_hand(name: str) -> Path:
    path = Path(DATA or "") / name
    if not path.is_file():
        pytest.skip(f"WSI_DATA has no {name}")
    return path


def _small(source: Source) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    last = len(source.levels) - 1
    return source.read_region(Region(Point(0, 0), last, source.levels[last].size))


@pytest.mark.parametrize("name", EXPECTED)
def test_real_slide_is_opened_with_its_scale_or_refused_by_its_code(name: str) -> None:
    reader, levels, mpp, code = EXPECTED[name]
    path, found = _at_hand(name), ""
    if not reader:
        with pytest.raises(SlideError, match=re.escape(path.name)) as caught:
            open_slide(path)
        assert caught.value.code == code
        return
    source = open_slide(path)
    assert (source.reader, len(source.levels)) == (reader, levels)
    try:
        scale = resolve_mpp(source, name, ReadConfig())
        check_brightfield(_small(source), name)
        assert scale.mean == pytest.approx(mpp, rel=2e-3)
    except SlideError as error:
        found = error.code
    source.close()
    assert found == code


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("slides/CMU-1-Small-Region.svs", (500, 900)),
        ("slides/CMU-1-Small-Region.svs", (2096, 2800)),
        ("slides/lung-scc-HE2.svs", (11000, 10000)),
        ("slides/lung-scc-HE3.tiff", (11000, 8000)),
        ("slides/pdac-trucut-HE3-20x-dicom/vol_11396.dcm", (5600, 5600)),
    ],
)
@pytest.mark.parametrize("tile_mpp", [0.55, 1.0, 2.0])
def test_tile_of_a_real_slide_is_what_openslide_and_pillow_give(
    name: str, at: tuple[int, int], tile_mpp: float
) -> None:
    path, tile_px = _at_hand(name), 224
    source, slide = open_slide(path), openslide.OpenSlide(path)
    steps = tuple(level.downsample for level in source.levels)
    footprint = tile_footprint(tile_px, tile_mpp, resolve_mpp(source, name, ReadConfig()), downsamples=steps)
    tile = read_tile(source, *at, footprint=footprint, tile_px=tile_px)
    # From the same level: the lossy levels of these files differ from level 0 by more than a resample does.
    level = best_level(source.levels, footprint.x / tile_px)
    step = round(steps[level])
    side_x, side_y = footprint.x / step, footprint.y / step
    # OpenSlide divides by the ratio of the rounded sizes: the place is given as that ratio has it.
    place = (
        round(at[0] // step * slide.level_downsamples[level]),
        round(at[1] // step * slide.level_downsamples[level]),
    )
    plain = _on_white(slide, place, level, Size(math.ceil(side_x), math.ceil(side_y)))
    expected = plain.resize((tile_px, tile_px), Image.Resampling.BICUBIC, box=(0, 0, side_x, side_y))
    source.close()
    slide.close()
    difference = np.abs(tile.astype(int) - np.asarray(expected).astype(int)).mean()
    assert difference <= 2.0, f"{difference:.2f} gray levels"


def _on_white(slide: openslide.OpenSlide, at: tuple[int, int], level: int, size: Size) -> Image.Image:
    ground = Image.new("RGB", (size.width, size.height), (255, 255, 255))
    region = slide.read_region(at, level, (size.width, size.height))
    ground.paste(region.convert("RGB"), mask=region.getchannel("A"))
    return ground


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("slides/lung-scc-HE2.svs", (11000, 10000)),
        ("slides/lung-scc-HE3.tiff", (11000, 8000)),
        ("slides/lung-scc-HE3.tiff", (16000, 14000)),
        ("slides/pdac-trucut-HE3-20x-dicom/vol_11396.dcm", (5600, 5600)),
    ],
)
def test_levels_lie_over_level_0_to_less_than_half_a_px(name: str, at: tuple[int, int]) -> None:
    path, side = _at_hand(name), 200
    source, slide = open_slide(path), openslide.OpenSlide(path)
    for level in range(1, min(4, len(source.levels))):
        step = round(source.levels[level].downsample)
        x, y = at[0] // step * step, at[1] // step * step
        found = source.read_region(Region(Point(x, y), level, Size(side, side))).astype(int)
        fits = {}
        for across, down in itertools.product((-step // 2, 0, step // 2), repeat=2):
            plain = _on_white(slide, (x + across, y + down), 0, Size(side * step, side * step)).reduce(step)
            fits[across, down] = np.abs(found - np.asarray(plain)).mean()
        # Half a px beside may look as good as the very place on a soft picture, never better by a tenth.
        assert fits[0, 0] <= 1.1 * min(fits.values()), f"level {level}: {fits}"
    source.close()
    slide.close()


@pytest.mark.parametrize(
    "name", ["slides_tiny/boxes-dicom/boxes_0.dcm", "slides/pdac-trucut-HE3-20x-dicom/vol_11396.dcm"]
)
def test_our_dicom_reader_sees_what_openslide_sees(name: str) -> None:
    path = _at_hand(name)
    ours, theirs = open_slide(path, reader="dicom"), open_slide(path, reader="openslide")
    assert ours.levels == theirs.levels
    assert ours.metadata_mpp is not None
    assert theirs.metadata_mpp is not None
    assert ours.metadata_mpp.x == pytest.approx(theirs.metadata_mpp.x)
    for level, stored in enumerate(ours.levels):
        middle = Point(
            round(stored.size.width // 2 * stored.downsample), round(stored.size.height // 2 * stored.downsample)
        )
        region = Region(middle, level, Size(min(300, stored.size.width // 2), min(300, stored.size.height // 2)))
        difference = np.abs(ours.read_region(region).astype(int) - theirs.read_region(region)).mean()
        assert difference <= 0.5, f"level {level}: {difference:.2f} gray levels"
    ours.close()
    theirs.close()

"""Real slides, good and bad, where they are at hand: set WSI_DATA to a folder that holds slides/ and malformed/."""

import os
from pathlib import Path

import numpy as np
import openslide
import pytest
from PIL import Image

from wsi.config import ReadConfig
from wsi.errors import SlideError
from wsi.geometry import Point, Region, Size
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
    try:
        source = open_slide(path)
    except SlideError as error:
        assert (error.code, reader) == (code, "")
        assert path.name in str(error)
        return
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
        ("slides/CMU-1-Small-Region.svs", (2100, 2800)),
        ("slides/lung-scc-HE2.svs", (11000, 10000)),
        ("slides/lung-scc-HE3.tiff", (11000, 8000)),
        ("slides/pdac-trucut-HE3-20x-dicom/vol_11396.dcm", (5600, 5600)),
    ],
)
@pytest.mark.parametrize("tile_mpp", [0.55, 1.0, 2.0])
def test_tile_of_a_real_slide_is_what_level_0_and_pillow_give(name: str, at: tuple[int, int], tile_mpp: float) -> None:
    """Within 2 gray levels on average where level 0 is read; stored levels carry a second JPEG of their own."""
    path, tile_px = _at_hand(name), 224
    source = open_slide(path)
    scale = resolve_mpp(source, name, ReadConfig())
    steps = tuple(level.downsample for level in source.levels)
    footprint = tile_footprint(tile_px, tile_mpp, scale, downsamples=steps)
    tile = read_tile(source, *at, footprint=footprint, tile_px=tile_px)
    source.close()
    size = Size(int(np.ceil(footprint.x)), int(np.ceil(footprint.y)))
    slide = openslide.OpenSlide(path)
    ground = Image.new("RGB", (size.width, size.height), (255, 255, 255))
    region = slide.read_region(at, 0, (size.width, size.height))
    ground.paste(region.convert("RGB"), mask=region.getchannel("A"))
    slide.close()
    box = (0, 0, footprint.x, footprint.y)
    plain = ground.resize((tile_px, tile_px), Image.Resampling.BICUBIC, box=box)
    difference = np.abs(tile.astype(int) - np.asarray(plain).astype(int)).mean()
    assert difference <= 2.0, f"{difference:.2f} gray levels"


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
            round(stored.size.width / 2 * stored.downsample), round(stored.size.height / 2 * stored.downsample)
        )
        region = Region(middle, level, Size(min(300, stored.size.width // 2), min(300, stored.size.height // 2)))
        difference = np.abs(ours.read_region(region).astype(int) - theirs.read_region(region)).mean()
        assert difference <= 0.5, f"level {level}: {difference:.2f} gray levels"
    ours.close()
    theirs.close()

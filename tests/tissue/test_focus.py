"""Blur: sharp slides aren't flagged, and a known Gaussian is."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from tests import make
from wsi.config import TissueConfig
from wsi.errors import RegionError
from wsi.geometry import Bounds, Level, Mpp, Point, Region, Size
from wsi.read import Source, open_slide
from wsi.tissue import Tissue, find_tissue, measure_blur, read_thumbnail
from wsi.tissue.focus import FIELDS, is_blurred

DATA = Path(os.environ["WSI_DATA"]) / "slides" if "WSI_DATA" in os.environ else None
REAL = [
    "CMU-1-Small-Region.svs",
    "OS-1-detail.ome.tif",
    "OS-2-ndpi.ome.tif",
    "TCGA-CR-7395-01A-01-TS1.svs",
    "adenoma-HE-nompp.tiff",
    "crohn-HE4-10x.ome.tif",
    "lung-scc-HE2.svs",
    "lung-scc-HE3.tiff",
    "pdac-trucut-HE3-20x-dicom/vol_11396.dcm",
]
MPP = Mpp(0.5, 0.5, "metadata")


def out_of_focus(pixels: NDArray[np.uint8], sigma_px: float) -> NDArray[np.uint8]:
    """Blur a picture and store it as JPEG, whose noise a scanner's file has, too."""
    if not sigma_px:
        return pixels
    smooth = ndimage.gaussian_filter(pixels.astype(np.float32), (sigma_px, sigma_px, 0))
    stored = BytesIO()
    Image.fromarray((smooth + 0.5).astype(np.uint8)).save(stored, "JPEG", quality=75)
    return np.asarray(Image.open(stored))


@dataclass
class Blurring:
    """A slide seen through a Gaussian of `sigma_um`; it counts what is read of it."""

    slide: Source
    mpp: Mpp
    sigma_um: float
    fail: bool = False
    px: int = 0
    reads: list[Region] = field(default_factory=list)

    reader = "blurring"
    metadata_mpp: Mpp | None = None
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def levels(self) -> tuple[Level, ...]:
        return self.slide.levels

    @property
    def bounds(self) -> Bounds:
        return self.slide.bounds

    def read_region(self, region: Region, /) -> NDArray[np.uint8]:
        self.px += region.size.area
        self.reads.append(region)
        if self.fail:
            raise RegionError("damaged")
        um_per_px = self.mpp.mean * self.levels[region.level].downsample
        return out_of_focus(self.slide.read_region(region), self.sigma_um / um_per_px)

    def close(self) -> None:
        self.slide.close()


@dataclass
class Picture:
    """A picture as a slide of one level."""

    pixels: NDArray[np.uint8]
    reader = "picture"
    metadata_mpp: Mpp | None = None
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def levels(self) -> tuple[Level, ...]:
        return (Level(Size(self.pixels.shape[1], self.pixels.shape[0]), 1.0),)

    @property
    def bounds(self) -> Bounds:
        return Bounds(Point(0, 0), self.levels[0].size)

    def read_region(self, region: Region, /) -> NDArray[np.uint8]:
        x, y, side = region.location.x, region.location.y, region.size.width
        found = np.full((side, side, 3), 255, np.uint8)
        inside = self.pixels[max(0, y) : y + side, max(0, x) : x + side]
        found[max(0, -y) :, max(0, -x) :][: inside.shape[0], : inside.shape[1]] = inside
        return found

    def close(self) -> None:
        pass


def tissue_of(polygon: shapely.Geometry) -> Tissue:
    parts = [part for part in shapely.get_parts(polygon) if isinstance(part, shapely.Polygon)]
    return Tissue(shapely.MultiPolygon(parts), 1.0, {"pen": 0.25}, "H&E", "", "detected")


@pytest.fixture(scope="module")
def drawn() -> Picture:
    return Picture(make.draw_tissue(2400, 2000, seed=5, mpp=MPP.mean))


@pytest.fixture(scope="module")
def drawn_tissue() -> Tissue:
    discs = make.tissue_discs(2400, 2000, seed=5)
    return tissue_of(shapely.union_all([shapely.Point(d.x, d.y).buffer(d.radius) for d in discs]))


@pytest.mark.parametrize(
    ("sigma_um", "least", "most"), [(0, 0.0, 0.0), (2, 0.95, 1.0), (5, 0.95, 1.0), (10, 0.95, 1.0)]
)
def test_drawn_tissue_is_blurred_only_when_it_is(
    drawn: Picture, drawn_tissue: Tissue, sigma_um: float, least: float, most: float
) -> None:
    found = measure_blur(drawn_tissue, Blurring(drawn, MPP, sigma_um), MPP)
    assert least <= found.flaws["blur"] <= most
    assert found.flaws["pen"] == 0.25


def test_a_slide_half_in_focus_is_half_blurred(drawn: Picture, drawn_tissue: Tissue) -> None:
    pixels = drawn.pixels.copy()
    pixels[:, 1200:] = out_of_focus(pixels[:, 1200:], 3 / MPP.mean)
    right = drawn_tissue.polygons.intersection(shapely.box(1200, 0, 2400, 2000)).area / drawn_tissue.polygons.area
    found = measure_blur(drawn_tissue, Picture(pixels), MPP)
    assert found.flaws["blur"] == pytest.approx(right, abs=0.17)  # 2 standard errors of 40 fields


def test_the_cost_is_bounded_and_each_field_is_a_sign_of_progress(drawn: Picture, drawn_tissue: Tissue) -> None:
    slide, ticks = Blurring(drawn, MPP, 0), []
    measure_blur(drawn_tissue, slide, MPP, tick=lambda: ticks.append(1))
    assert len(slide.reads) == len(ticks) == FIELDS
    assert slide.px <= 2_700_000


def test_the_same_fields_are_read_each_time(drawn: Picture, drawn_tissue: Tissue) -> None:
    first, second = Blurring(drawn, MPP, 0), Blurring(drawn, MPP, 0)
    measure_blur(drawn_tissue, first, MPP)
    measure_blur(drawn_tissue, second, MPP)
    assert first.reads == second.reads


@pytest.mark.parametrize("reason", ["no tissue", "coarse", "damaged", "blank"])
def test_blur_that_cannot_be_told_is_absent(drawn: Picture, drawn_tissue: Tissue, reason: str) -> None:
    slide, mpp, tissue = Blurring(drawn, MPP, 0, fail=reason == "damaged"), MPP, drawn_tissue
    if reason == "no tissue":
        tissue = Tissue(shapely.MultiPolygon(), 0.0, {}, "unknown", "none", "detected")
    elif reason == "coarse":
        mpp = Mpp(4.0, 4.0, "metadata")
    elif reason == "blank":
        slide = Blurring(Picture(np.full_like(drawn.pixels, 200)), MPP, 0)
    assert measure_blur(tissue, slide, mpp) == tissue


def test_a_field_without_contrast_is_not_judged() -> None:
    assert is_blurred(np.full((256, 256, 3), 180, np.uint8)) is None


@pytest.mark.parametrize("name", REAL)
def test_real_slides_are_sharp_and_blurred_when_a_gaussian_is_laid_over_them(name: str) -> None:
    if DATA is None or not (DATA / name).is_file():
        pytest.skip("WSI_DATA is unset, or lacks the slide")
    slide = open_slide(DATA / name)
    try:
        mpp = slide.metadata_mpp or MPP
        tissue = find_tissue(read_thumbnail(slide, mpp, target_mpp=8.0), mpp, TissueConfig())
        share = [measure_blur(tissue, Blurring(slide, mpp, um), mpp).flaws["blur"] for um in (0.0, 1.5, 3.0)]
    finally:
        slide.close()
    assert share[0] <= 0.05
    assert share[1] >= 0.8
    assert share[2] == 1.0

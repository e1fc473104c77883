"""What every reader promises, shown on one drawn picture stored in each of the ways that they read."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import openslide
import pytest
from PIL import Image

from tests import make
from tests.make_dicom import write_dicom
from tests.make_mirax import damage_images, write_mirax
from wsi.errors import RegionError
from wsi.geometry import Bounds, Point, Region, Size, best_level
from wsi.read import Source, open_slide
from wsi.read.source import KEPT_PROPERTIES

PICTURE = make.small_picture()
SECOND_FRAME = Point(256, 0)
SECRET = "Patient Doe Jane SECRET-1"
JPEG_GRAY_LEVELS = 0.5
"""Mean difference allowed from Pillow's decoding of the same JPEG: decoders may round and smooth chroma differently."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A slide on the disk and what is known of it."""

    path: Path
    reader: str
    levels: tuple[make.Pixels, ...]
    bounds: Bounds
    tolerance: float
    spoil: Callable[[Path], object] | None
    """Ruins the frame at `broken`."""
    broken: Point


def _stored(
    path: Path,
    reader: str,
    *,
    step: int = 2,
    levels: int = 3,
    tolerance: float = 0.0,
    tile: int | None = None,
    spoil: Callable[[Path], object] | None = None,
    broken: Point = SECOND_FRAME,
) -> Stored:
    """Say what is known of a slide of PICTURE; `tile` is the side of its frames where they are JPEG."""
    drawn = tuple(_through_jpeg(p, tile) if tile else p for p in make.pyramid(PICTURE, levels, step))
    bounds = Bounds(Point(0, 0), Size(PICTURE.shape[1], PICTURE.shape[0]))
    return Stored(path, reader, drawn, bounds, tolerance, spoil, broken)


def _through_jpeg(picture: make.Pixels, tile: int) -> make.Pixels:
    """Return what Pillow decodes of the frames that were stored."""
    whole = np.empty_like(picture)
    columns = -(-picture.shape[1] // tile)
    for i, frame in enumerate(make.cut(picture, tile)):
        place = whole[i // columns * tile :, i % columns * tile :][:tile, :tile]
        decoded = np.asarray(Image.open(BytesIO(make.as_jpeg(frame))))
        place[:] = decoded[: place.shape[0], : place.shape[1]]
    return whole


def _jpeg_tile(kind: str) -> int | None:
    return 256 if kind == "jpeg" else None


def _damaged(path: Path) -> None:
    make.damage_tiles(path, [1])


def _svs(folder: Path, kind: str, tolerance: float) -> Stored:
    label = make.draw_tissue(120, 90, seed=9)
    path = make.write_svs(folder / "slide.svs", PICTURE, compression=kind, text=SECRET, label=label)
    return _stored(path, "openslide", step=4, tolerance=tolerance, tile=_jpeg_tile(kind), spoil=_damaged)


def _tiff(folder: Path) -> Stored:
    return _stored(make.write_tiff(folder / "slide.tiff", PICTURE), "openslide", spoil=_damaged)


def _mirax(folder: Path) -> Stored:
    path, tile = folder / "slide.mrxs", 128
    write_mirax(path, PICTURE, levels=2, tile=tile, empty=(2, 1))
    scan = PICTURE[: 700 // 256 * 256, : 1000 // 256 * 256]
    whole = np.full((scan.shape[0] + 4 * tile, scan.shape[1] + 4 * tile, 3), 255, np.uint8)
    at = 2 * tile
    whole[at : at + scan.shape[0], at : at + scan.shape[1]] = scan
    bounds = Bounds(Point(at, at), Size(scan.shape[1], scan.shape[0]))
    drawn = tuple(make.pyramid(whole, 2, 2))
    return Stored(path, "openslide", drawn, bounds, 0.0, lambda p: damage_images(p, [1]), Point(at + tile, at))


def _dicom(folder: Path, kind: str, *, reader: str, sparse: bool = False, tolerance: float = 0.0) -> Stored:
    known = reader == "openslide"  # which refuses a slide without ImageType
    paths = write_dicom(
        folder, PICTURE, levels=3, compression=kind, sparse=sparse, image_type=known, thumbnail=known, seed=SECRET
    )
    spoil = None if kind == "none" else _damaged_dicom if sparse else _damaged
    return _stored(paths[0], reader, tolerance=tolerance, tile=_jpeg_tile(kind), spoil=spoil)


def _damaged_dicom(path: Path) -> None:
    import pydicom

    places = pydicom.dcmread(path).PerFrameFunctionalGroupsSequence
    found = [group.PlanePositionSlideSequence[0] for group in places]
    at = [(p.ColumnPositionInTotalImagePixelMatrix, p.RowPositionInTotalImagePixelMatrix) for p in found]
    make.damage_tiles(path, [at.index((257, 1))])


def _ome(folder: Path, kind: str, tolerance: float) -> Stored:
    path = make.write_ome(folder / "slide.ome.tif", PICTURE, compression=kind)
    return _stored(path, "tiffslide", tolerance=tolerance, tile=_jpeg_tile(kind), spoil=_damaged)


def _strips(folder: Path) -> Stored:
    path = make.write_tiff(folder / "slide.tif", PICTURE, tile=None)
    return _stored(path, "tiffslide", levels=1, spoil=_damaged, broken=Point(0, 16))


def _picture(folder: Path, kind: str, tolerance: float) -> Stored:
    return _stored(make.write_picture(folder / "slide", PICTURE, kind=kind), "image", levels=1, tolerance=tolerance)


WAYS: dict[str, Callable[[Path], Stored]] = {
    "svs-jpeg2000": lambda folder: _svs(folder, "jpeg2000", 0.0),
    "svs-jpeg": lambda folder: _svs(folder, "jpeg", JPEG_GRAY_LEVELS),
    "tiff": _tiff,
    "mirax": _mirax,
    "dicom-openslide": lambda folder: _dicom(folder, "jpeg2000", reader="openslide"),
    "dicom-jpeg2000": lambda folder: _dicom(folder, "jpeg2000", reader="dicom"),
    "dicom-jpeg": lambda folder: _dicom(folder, "jpeg", reader="dicom", tolerance=JPEG_GRAY_LEVELS),
    "dicom-raw": lambda folder: _dicom(folder, "none", reader="dicom"),
    "dicom-sparse": lambda folder: _dicom(folder, "jpeg2000", reader="dicom", sparse=True),
    "ome": lambda folder: _ome(folder, "deflate", 0.0),
    "ome-jpeg": lambda folder: _ome(folder, "jpeg", JPEG_GRAY_LEVELS),
    "strips": _strips,
    "png": lambda folder: _picture(folder, "PNG", 0.0),
    "bmp": lambda folder: _picture(folder, "BMP", 0.0),
    "jpeg": lambda folder: _picture(folder, "JPEG", 3.0),
}


@pytest.fixture(scope="module", params=WAYS)
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return WAYS[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def source(stored: Stored) -> Iterator[Source]:
    # OpenSlide sees one level of an OME-TIFF; on slides as small as this that isn't worth a second look.
    found = open_slide(stored.path, reader="tiffslide" if stored.reader == "tiffslide" else "auto")
    yield found
    found.close()


def _error(found: make.Pixels, expected: make.Pixels) -> float:
    assert found.dtype == np.uint8
    assert found.shape == expected.shape
    return float(np.abs(found.astype(int) - expected).mean())


def test_reader_is_the_one_that_fits(source: Source, stored: Stored) -> None:
    assert source.reader == stored.reader


def test_levels_have_the_sizes_and_downsamples_that_were_written(source: Source, stored: Stored) -> None:
    step = 4 if len(stored.levels) > 1 and stored.levels[1].shape[0] * 4 <= stored.levels[0].shape[0] else 2
    found = [(level.size, level.downsample) for level in source.levels]
    assert found == [(Size(p.shape[1], p.shape[0]), float(step**i)) for i, p in enumerate(stored.levels)]


def test_every_level_is_the_picture_that_was_drawn(source: Source, stored: Stored) -> None:
    for i, (level, drawn) in enumerate(zip(source.levels, stored.levels, strict=True)):
        found = source.read_region(Region(Point(0, 0), i, level.size))
        assert _error(found, drawn) <= stored.tolerance, f"level {i}"


def test_region_starts_at_its_level_0_location_on_every_level(source: Source, stored: Stored) -> None:
    for i, (level, drawn) in enumerate(zip(source.levels, stored.levels, strict=True)):
        x, y = drawn.shape[1] * 3 // 5, drawn.shape[0] * 3 // 5
        location = Point(round(x * level.downsample), round(y * level.downsample))
        found = source.read_region(Region(location, i, Size(17, 11)))
        # OpenSlide takes whole level-0 px and the ratio of rounded sizes: up to 1/8 px of a level is blended in.
        slack = 0.5 if i and stored.reader == "openslide" else 0.0
        assert _error(found, drawn[y : y + 11, x : x + 17]) <= 2 * stored.tolerance + slack, f"level {i}"


def test_beyond_the_slide_is_white(source: Source, stored: Stored) -> None:
    drawn = stored.levels[0]
    height, width = drawn.shape[:2]
    found = source.read_region(Region(Point(width - 30, height - 20), 0, Size(64, 64)))
    assert _error(found[:20, :30], drawn[-20:, -30:]) <= stored.tolerance
    assert (found[20:] == 255).all()
    assert (found[:, 30:] == 255).all()


def test_negative_location_is_white_up_to_the_slide(source: Source, stored: Stored) -> None:
    found = source.read_region(Region(Point(-40, -25), 0, Size(100, 100)))
    assert (found[:25] == 255).all()
    assert (found[:, :40] == 255).all()
    assert _error(found[25:, 40:], stored.levels[0][:75, :60]) <= stored.tolerance


def test_region_wholly_outside_is_white(source: Source) -> None:
    for x, y in ((-500, 0), (0, -500), (100_000, 0), (0, 100_000)):
        assert (source.read_region(Region(Point(x, y), 0, Size(50, 60))) == 255).all()


def test_bounds_hold_the_scan(source: Source, stored: Stored) -> None:
    assert source.bounds == stored.bounds


def test_mpp_is_what_was_written(source: Source) -> None:
    if source.reader == "image":
        assert source.metadata_mpp is None
    else:
        assert source.metadata_mpp is not None
        assert (source.metadata_mpp.x, source.metadata_mpp.y) == pytest.approx((0.5, 0.5), rel=1e-6)


def test_best_level_is_the_coarsest_that_is_fine_enough(source: Source) -> None:
    steps = [level.downsample for level in source.levels]
    for i, step in enumerate(steps):
        assert best_level(source.levels, step) == i
        assert best_level(source.levels, step * 1.4) == i
        assert best_level(source.levels, step * 0.9) == max(i - 1, 0)


def test_properties_are_of_the_allow_list_and_hold_no_free_text(source: Source) -> None:
    assert set(source.properties) <= set(KEPT_PROPERTIES)
    told = " ".join(source.properties.values())
    assert not any(word in told for word in ("SECRET", "Doe", "Jane", "Aperio Image Library"))


def test_label_and_macro_are_never_asked_for(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object) -> None:
        raise AssertionError("the label may not be looked at")

    monkeypatch.setattr(openslide.OpenSlide, "associated_images", property(refuse))
    source = open_slide(stored.path)
    source.read_region(Region(Point(0, 0), 0, Size(64, 64)))
    source.close()


def test_undecodable_frame_is_an_error_and_the_next_read_is_as_on_the_clean_slide(
    source: Source, stored: Stored, tmp_path: Path
) -> None:
    if stored.spoil is None:
        pytest.skip("decoded whole, or stored without a code that could break")
    shutil.copytree(stored.path.parent, tmp_path / "copy")
    path = tmp_path / "copy" / stored.path.name
    stored.spoil(path)
    damaged = open_slide(path, reader=source.reader)
    broken = Region(Point(stored.broken.x + 4, stored.broken.y + 4), 0, Size(8, 8))
    good = Region(Point(stored.broken.x, stored.broken.y + 300), 0, Size(200, 100))
    for _ in range(3):
        with pytest.raises(RegionError):
            damaged.read_region(broken)
        assert np.array_equal(damaged.read_region(good), source.read_region(good))
    damaged.close()


def test_closed_slide_leaves_no_file_open(stored: Stored) -> None:
    held = Path("/proc/self/fd")
    if not held.is_dir():
        pytest.skip("needs /proc")

    def ours() -> list[str]:
        found = [str(fd.readlink()) for fd in held.iterdir() if fd.is_symlink()]
        return [path for path in found if path.startswith(str(stored.path.parent))]

    before = len(ours())
    source = open_slide(stored.path)
    source.read_region(Region(Point(0, 0), 0, Size(64, 64)))
    source.close()
    assert len(ours()) == before

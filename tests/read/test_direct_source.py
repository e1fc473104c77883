"""Frames decoded without OpenSlide: what they show is what OpenSlide shows, or it isn't believed."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tests import make
from tests.make_dicom import write_dicom
from wsi.errors import RegionError
from wsi.geometry import Point, Region, Size
from wsi.read import Source, open_slide
from wsi.read.direct_source import DirectLevel, DirectSource, direct_dicom
from wsi.read.frame_cache import LAG, Buffers
from wsi.read.frames import Frames
from wsi.read.jpeg import JpegFrames
from wsi.read.openslide_reader import OpenSlideSource

PICTURE = make.small_picture()
PLACES = [(0, 0, 256, 256), (200, 100, 300, 280), (-30, -20, 90, 70), (840, 610, 300, 200), (256, 256, 256, 256)]


@pytest.fixture(scope="module", params=["jpeg", "jpeg2000"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make.write_svs(tmp_path_factory.mktemp("direct") / "slide.svs", PICTURE, compression=request.param)


@pytest.fixture
def pair(path: Path) -> Iterator[tuple[DirectSource, OpenSlideSource]]:
    ours, theirs = open_slide(path), OpenSlideSource(path)
    assert isinstance(ours, DirectSource)
    yield ours, theirs
    ours.close()
    theirs.close()


def forbid_openslide(source: DirectSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prove the levels, then let any further look through OpenSlide fail."""
    for level in range(len(source.levels)):
        source.shrinks(level)

    def refuse(region: Region) -> NDArray[np.uint8]:
        raise AssertionError("OpenSlide was asked for px")

    monkeypatch.setattr(source._inner, "read_region", refuse)


@pytest.mark.parametrize("place", PLACES)
def test_level_0_is_equal_to_the_last_bit(
    pair: tuple[DirectSource, OpenSlideSource], place: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = pair
    region = Region(Point(*place[:2]), 0, Size(*place[2:]))
    expected = theirs.read_region(region)
    forbid_openslide(ours, monkeypatch)
    assert np.array_equal(ours.read_region(region), expected)


def test_facts_are_openslides(pair: tuple[DirectSource, OpenSlideSource]) -> None:
    ours, theirs = pair
    for name in ("reader", "levels", "bounds", "metadata_mpp", "properties"):
        assert getattr(ours, name) == getattr(theirs, name), name


def test_frames_that_differ_from_openslides_are_not_believed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Frames.read

    def shifted(self: Frames, x: int, y: int, size: Size, *, shrink: int = 1) -> NDArray[np.uint8]:
        return plain(self, x + 1, y, size, shrink=shrink)

    theirs = OpenSlideSource(path)
    region = Region(Point(100, 100), 0, Size(50, 40))
    monkeypatch.setattr(Frames, "read", shifted)
    ours = open_slide(path)
    assert isinstance(ours, DirectSource)
    assert ours.shrinks(0) == (1,)
    assert np.array_equal(ours.read_region(region), theirs.read_region(region))
    ours.close()
    theirs.close()


def test_frame_left_out_is_as_openslide_fills_it(tmp_path: Path) -> None:
    path = make.write_svs(tmp_path / "slide.svs", PICTURE)
    make.leave_out_tiles(path, [1])
    ours, theirs = open_slide(path), OpenSlideSource(path)
    assert isinstance(ours, DirectSource)
    for place in PLACES:
        region = Region(Point(*place[:2]), 0, Size(*place[2:]))
        assert np.array_equal(ours.read_region(region), theirs.read_region(region))
    ours.close()
    theirs.close()


def shrinking(path: Path) -> Source:
    source = open_slide(path)
    assert isinstance(source, DirectSource)
    return source


@pytest.mark.parametrize("shrink", [2, 4, 8])
def test_shrunk_region_is_near_the_mean_of_its_px(tmp_path: Path, shrink: int) -> None:
    source = shrinking(make.write_svs(tmp_path / "slide.svs", PICTURE))
    size = Size(512 // shrink, 256 // shrink)
    found = source.read_region(Region(Point(64, 128), 0, size, shrink))
    whole = Image.fromarray(source.read_region(Region(Point(64, 128), 0, Size(512, 256))))
    difference = np.abs(found.astype(int) - np.asarray(whole.reduce(shrink)).astype(int))
    assert found.shape == (size.height, size.width, 3)
    assert difference.mean() <= 1.0
    source.close()


def test_shrunk_region_beyond_the_slide_is_white(tmp_path: Path) -> None:
    source = shrinking(make.write_svs(tmp_path / "slide.svs", PICTURE))
    found = source.read_region(Region(Point(-64, -64), 0, Size(64, 64), 2))
    assert (found[:32] == 255).all()
    assert (found[:, :32] == 255).all()
    assert not (found[32:, 32:] == 255).all()
    source.close()


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_jpeg_of_any_sampling_is_as_pillow_decodes_it(sampling: str) -> None:
    buffer = BytesIO()
    Image.fromarray(PICTURE[:128, :160]).save(buffer, "JPEG", quality=90, subsampling=sampling)
    frames = JpegFrames(b"", None)
    assert np.array_equal(frames.decode(buffer.getvalue(), Size(160, 128)), np.asarray(Image.open(buffer)))
    half = Image.open(buffer)
    half.draft("RGB", (80, 64))
    assert np.array_equal(frames.decode(buffer.getvalue(), Size(160, 128), shrink=2), np.asarray(half))


def test_tiff_that_calls_ycbcr_rgb_keeps_its_colors(tmp_path: Path) -> None:
    frames = [make.as_jpeg(frame, 95) for frame in make.cut(PICTURE, 256)]
    assert b"JFIF" in frames[0][:20]
    with tifffile.TiffWriter(tmp_path / "qupath.ome.tif", ome=True) as file:
        file.write(
            iter(frames), shape=PICTURE.shape, dtype=np.uint8, tile=(256, 256), photometric="rgb", compression="jpeg"
        )
    source = open_slide(tmp_path / "qupath.ome.tif", reader="tiffslide")
    size = Size(PICTURE.shape[1], PICTURE.shape[0])
    found = source.read_region(Region(Point(0, 0), 0, size))
    half = source.read_region(Region(Point(0, 0), 0, Size(size.width // 2, size.height // 2), 2))
    assert np.abs(found.astype(int) - PICTURE).mean() < 2
    assert np.abs(half.astype(int) - np.asarray(Image.fromarray(PICTURE).reduce(2))[: half.shape[0]]).mean() < 2
    source.close()


def test_jpeg_of_rgb_samples_keeps_its_colors() -> None:
    buffer = BytesIO()
    Image.fromarray(PICTURE[:64, :64]).save(buffer, "JPEG", quality=95, subsampling=0, keep_rgb=True)
    stored, size = buffer.getvalue(), Size(64, 64)
    frames = JpegFrames(b"", "RGB")
    assert np.abs(frames.decode(stored, size).astype(int) - PICTURE[:64, :64]).mean() < 4
    expected = Image.fromarray(PICTURE[:64, :64]).reduce(2)
    assert np.abs(frames.decode(stored, size, shrink=2).astype(int) - np.asarray(expected)).mean() < 4


@pytest.mark.parametrize("shrink", [1, 2])
@pytest.mark.parametrize(
    "stored", [b"", b"\xff\xd8", b"\xff\xd8\xff\xd9", b"no jpeg at all", make.as_jpeg(PICTURE[:64, :64])[:200]]
)
def test_what_is_no_whole_jpeg_is_an_error(stored: bytes, shrink: int) -> None:
    with pytest.raises((ValueError, RuntimeError, OSError)):
        JpegFrames(b"", None).decode(stored, Size(64, 64), shrink=shrink)


def test_each_frame_is_decoded_once_whatever_the_threads() -> None:
    asked: Counter[int] = Counter()

    def decode(index: int, shrink: int, memory: object) -> NDArray[np.uint8]:
        asked[index] += 1
        return np.full((64, 64, 3), index, np.uint8)

    frames = Frames(Size(640, 640), Size(64, 64), decode)
    places = [(x, y) for y in range(0, 64, 8) for x in range(0, 576, 8)]

    def look(place: tuple[int, int]) -> list[int]:
        return [int(v) for v in np.unique(frames.read(*place, Size(65, 65)))]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(look, places))
    touched = [[(y + j) // 64 * 10 + (x + i) // 64 for j in (0, 64) for i in (0, 64)] for x, y in places]
    assert found == [sorted(set(each)) for each in touched]
    assert asked == dict.fromkeys(range(20), 1)


def test_frame_that_fails_fails_for_all_threads_and_no_other_does() -> None:
    def decode(index: int, shrink: int, memory: object) -> NDArray[np.uint8]:
        if index == 1:
            raise ValueError("torn")
        return np.zeros((64, 64, 3), np.uint8)

    frames = Frames(Size(128, 64), Size(64, 64), decode)
    for _ in range(2):
        with pytest.raises(RegionError, match="frame 0, 1 can't be decoded: torn"):
            frames.read(70, 0, Size(10, 10))
    assert not frames.read(0, 0, Size(64, 64)).any()


def test_frame_whose_decoding_broke_off_is_never_white() -> None:
    def decode(index: int, shrink: int, memory: object) -> NDArray[np.uint8]:
        raise AssertionError("no fault that decoders are known for")

    frames = Frames(Size(128, 64), Size(64, 64), decode)
    with pytest.raises(AssertionError):
        frames.read(60, 0, Size(10, 10))
    with pytest.raises(RegionError, match="broke off"):
        frames.read(60, 0, Size(10, 10))


def test_frames_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsi.read.frames.CACHE_BYTES", 5 * 64 * 64 * 3)
    asked: Counter[int] = Counter()

    def decode(index: int, shrink: int, memory: object) -> NDArray[np.uint8]:
        asked[index] += 1
        return np.zeros((64 // shrink, 64 // shrink, 3), np.uint8)

    frames = Frames(Size(6400, 64), Size(64, 64), decode, shrinks=(1, 2))
    for _ in range(2):
        for x in range(6):
            frames.read(x * 64, 0, Size(60, 60))
    assert asked == dict.fromkeys(range(6), 2)
    assert len(frames._cache) == 5


def test_frames_kept_are_bounded_also_where_shrunk_ones_came_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsi.read.frames.CACHE_BYTES", 5 * 64 * 64 * 3)

    def decode(index: int, shrink: int, memory: object) -> NDArray[np.uint8]:
        return np.zeros((64 // shrink, 64 // shrink, 3), np.uint8)

    frames = Frames(Size(6400, 64), Size(64, 64), decode, shrinks=(1, 2))
    for x in range(30):
        frames.read(x * 32, 0, Size(30, 30), shrink=2)
    assert len(frames._cache) == 20
    for x in range(50, 60):
        frames.read(x * 64, 0, Size(60, 60))
    assert len(frames._cache) == 5


def test_rows_above_are_forgotten_and_a_thread_may_lag_behind() -> None:
    asked: Counter[int] = Counter()

    def decode(index: int, shrink: int, memory: object) -> NDArray[np.uint8]:
        asked[index] += 1
        return np.zeros((64, 64, 3), np.uint8)

    columns = 5 * LAG
    frames = Frames(Size(columns * 64, 4 * 64), Size(64, 64), decode)
    for row in range(4):
        for x in range(columns):
            frames.read(x * 64, row * 64, Size(60, 60))
            if row and x == 0:
                frames.read((columns - 1) * 64, row * 64 - 64, Size(60, 60))
        assert len(frames._cache) <= columns + LAG
    assert asked == dict.fromkeys(range(4 * columns), 1)
    frames.forget()
    assert not len(frames._cache)
    frames.read(0, 0, Size(60, 60))
    assert asked[0] == 2


def test_memory_is_used_again_only_when_nobody_looks_at_it() -> None:
    buffers = Buffers()
    first = buffers.take(8, 8)
    place, view = first.ctypes.data, first[2:4]
    buffers.give(first)
    assert buffers.take(8, 8).ctypes.data != place
    buffers.give(first)
    del first
    assert buffers.take(8, 8).ctypes.data != place
    buffers.give(view.base)
    del view
    assert buffers.take(8, 8).ctypes.data == place


def test_frames_read_one_by_one_leave_no_trace_in_each_other(tmp_path: Path) -> None:
    source = open_slide(make.write_svs(tmp_path / "slide.svs", PICTURE))
    places = [Point(x, y) for y in (0, 256) for x in (0, 256, 512)]
    kept = [source.read_region(Region(at, 0, Size(256, 256))) for at in places]
    alone = [source.read_region(Region(at, 0, Size(256, 256))).copy() for at in places]
    assert all(np.array_equal(a, b) for a, b in zip(kept, alone, strict=True))
    assert not any(found.flags.writeable for found in kept)
    source.close()


def test_dicom_frames_are_openslides_and_handed_on_as_they_are(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "series", PICTURE, levels=2)[0]
    theirs = OpenSlideSource(path)
    ours = direct_dicom(theirs, path)
    assert isinstance(ours, DirectSource)
    assert (ours.levels, ours.metadata_mpp, ours.frame_size(0)) == (theirs.levels, theirs.metadata_mpp, Size(256, 256))
    for place in PLACES:
        region = Region(Point(*place[:2]), 0, Size(*place[2:]))
        assert np.array_equal(ours.read_region(region), theirs.read_region(region))
    for level in (0, 1):
        assert ours.shrinks(level) == (1, 2, 4, 8), "proven"
        shown = ours.jpeg_frame(level, 0, 0)
        assert shown is not None
        with Image.open(BytesIO(shown)) as image:
            frame = ours.frame_px(level, 0, 0)
            assert frame is not None
            assert np.array_equal(np.asarray(image), frame)
    ours.close()


@pytest.mark.parametrize("asked_first", ["frame_px", "jpeg_frame"])
def test_dicom_frames_in_a_wrong_place_are_not_believed(
    asked_first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_dicom(tmp_path / "series", PICTURE, levels=1)[0]
    plain = Frames._whole

    def shifted(self: Frames, row: int, column: int, shrink: int) -> NDArray[np.uint8]:
        pixels = plain(self, row, column, shrink)
        assert pixels is not None
        return np.roll(pixels, 40, axis=1)

    monkeypatch.setattr(Frames, "_whole", shifted)
    theirs = OpenSlideSource(path)
    ours = direct_dicom(theirs, path)
    assert isinstance(ours, DirectSource)
    assert getattr(ours, asked_first)(0, 1, 1) is None
    assert (ours.shrinks(0), ours.frame_px(0, 0, 0), ours.jpeg_frame(0, 0, 0)) == ((1,), None, None)
    region = Region(Point(100, 100), 0, Size(50, 40))
    assert np.array_equal(ours.read_region(region), theirs.read_region(region))
    ours.close()


def test_dicom_glass_that_was_left_out_is_as_openslide_fills_it(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "series", PICTURE, levels=1, sparse=True)[0]
    theirs = OpenSlideSource(path)
    ours = direct_dicom(theirs, path)
    for place in PLACES:
        region = Region(Point(*place[:2]), 0, Size(*place[2:]))
        assert np.array_equal(ours.read_region(region), theirs.read_region(region))
    ours.close()


def test_opening_proves_nothing_yet(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DirectLevel, "_is_alike", lambda *_: pytest.fail("a proof costs four frames"))
    source = open_slide(path)
    assert source.read_region(Region(Point(5, 5), 0, Size(1, 1))).shape == (1, 1, 3)
    source.close()

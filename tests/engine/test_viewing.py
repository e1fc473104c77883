"""Slides to look at: decoded by supervised processes that may die, hang or be given another file."""

import io
import os
import shutil
import signal
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests import make
from tests.make_dicom import write_dicom
from tests.make_ndpi import write_ndpi
from tests.traps import PLUGINS, write_trap
from wsi.engine.view_pool import Question
from wsi.engine.viewer import MAX_PIECE_PX, steps_of
from wsi.engine.viewing import STALL_S, Viewing
from wsi.errors import AbsentError, ChildError, RegionError, TimeoutExceeded, UnreadableError
from wsi.geometry import Level, Point, Region, Size
from wsi.read import SlideFile, Source, find_slides, open_slide
from wsi.review import Piece, TileKey

PICTURE = make.small_picture()


def px_of(content: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def viewing() -> Iterator[Callable[..., Viewing]]:
    """Return a maker of Viewings over the slides below a folder; their processes end with the test."""
    made: list[Viewing] = []

    def over(folder: Path, *, workers: int = 1) -> Viewing:
        places = {slide.id: slide.path for slide in find_slides(folder) if isinstance(slide, SlideFile)}
        made.append(Viewing(places, workers=workers))
        return made[-1]

    yield over
    for one in made:
        one.close()


def tile(shown: Viewing, slide: str, level: int, column: int, row: int) -> bytes:
    return shown.tile(TileKey(slide, level, column, row))


def only(folder: Path) -> str:
    (found,) = find_slides(folder)
    return found.id


@pytest.mark.parametrize("kind", ["svs", "jpeg2000", "tiff", "png", "ome", "dicom", "sparse-dicom", "ndpi"])
def test_tiles_cover_each_level_as_it_is_read(kind: str, viewing: Callable[..., Viewing], tmp_path: Path) -> None:
    if kind == "png":
        path = make.write_picture(tmp_path / "slide.png", PICTURE)
    elif kind == "tiff":
        path = make.write_tiff(tmp_path / "slide.tiff", PICTURE)
    elif kind.endswith("dicom"):
        path = write_dicom(tmp_path / "series", PICTURE, levels=2, sparse=kind.startswith("sparse"))[0]
    elif kind == "ndpi":
        path = write_ndpi(tmp_path / "slide.ndpi", PICTURE)
    elif kind == "ome":
        path = make.write_ome(tmp_path / "slide.ome.tiff", PICTURE)
    else:
        path = make.write_svs(tmp_path / "slide.svs", PICTURE, compression="jpeg2000" if kind == "jpeg2000" else "jpeg")
    slide, shown = only(tmp_path), viewing(tmp_path)
    view = shown.look(slide)
    source = open_slide(path)
    assert [(v.width, v.height, v.downsample) for v in view.levels] == [
        (v.size.width, v.size.height, v.downsample) for v in source.levels
    ]
    for number, level in enumerate(view.levels):
        for row in range(level.rows):
            for column in range(level.columns):
                pixels = px_of(tile(shown, slide, number, column, row))
                left, top = column * level.tile_px, row * level.tile_px
                size = Size(min(level.tile_px, level.width - left), min(level.tile_px, level.height - top))
                assert pixels.shape[:2] == (size.height, size.width)
                place = Point(round(left * level.downsample), round(top * level.downsample))
                expected = source.read_region(Region(place, number, size)).astype(int)
                assert np.abs(pixels.astype(int) - expected).mean() < 4
    source.close()


@pytest.mark.parametrize(("width", "shrinks"), [(4096, [1]), (4100, [1, 4]), (16_384, [1, 4]), (16_400, [1, 4, 16])])
def test_large_slide_of_one_level_gets_smaller_ones(
    width: int, shrinks: list[int], viewing: Callable[..., Viewing], tmp_path: Path
) -> None:
    wide = np.tile(PICTURE, (1, -(-width // PICTURE.shape[1]), 1))[:, :width]
    make.write_picture(tmp_path / "slide.png", wide)
    slide, shown = only(tmp_path), viewing(tmp_path)
    levels = shown.look(slide).levels
    assert [(level.width, level.downsample) for level in levels] == [(width // by, float(by)) for by in shrinks]
    for number, by in enumerate(shrinks[1:], 1):
        side = by * levels[number].tile_px
        expected = np.asarray(Image.fromarray(wide[:side, :side]).reduce(by)).astype(int)
        found = px_of(tile(shown, slide, number, 0, 0)).astype(int)
        assert np.abs(found[: expected.shape[0]] - expected[: found.shape[0]]).mean() < 4


def test_tile_of_a_huge_slide_is_made_of_a_bounded_number_of_px() -> None:
    source = SimpleNamespace(levels=[Level(Size(2_000_000, 1_000_000), 1.0)])
    steps = steps_of(cast(Source, source))
    assert [step.shrink for step in steps] == [1, 4, 16]
    assert max(step.region(3, 3).size.area for step in steps) <= MAX_PIECE_PX


def test_piece_is_shown_at_the_size_asked_for(viewing: Callable[..., Viewing], tmp_path: Path) -> None:
    make.write_svs(tmp_path / "slide.svs", PICTURE)
    slide, shown = only(tmp_path), viewing(tmp_path)
    pixels = px_of(shown.crop(slide, Piece(100, 50, 400, 300, 64)))
    assert pixels.shape == (48, 64, 3)
    expected = np.asarray(Image.fromarray(PICTURE[50:350, 100:500]).resize((64, 48), Image.Resampling.BOX)).astype(int)
    assert np.abs(pixels.astype(int) - expected).mean() < 8


def test_scale_is_told_when_the_file_says_it(viewing: Callable[..., Viewing], tmp_path: Path) -> None:
    make.write_svs(tmp_path / "slide.svs", PICTURE, mpp=0.5)
    assert viewing(tmp_path).look(only(tmp_path)).mpp == pytest.approx(0.5)


def test_unreadable_tile_is_known_and_the_others_are_shown(viewing: Callable[..., Viewing], tmp_path: Path) -> None:
    make.damage_tiles(make.write_svs(tmp_path / "slide.svs", PICTURE), [1])
    slide, shown = only(tmp_path), viewing(tmp_path)
    side = shown.look(slide).levels[0].tile_px
    assert tile(shown, slide, 0, 0, 0)
    with pytest.raises(RegionError):
        tile(shown, slide, 0, 1, 0)
    assert px_of(tile(shown, slide, 0, 0, 1)).shape[1] == side


def test_place_that_is_not_known_or_empty_is_told(viewing: Callable[..., Viewing], tmp_path: Path) -> None:
    path = make.write_svs(tmp_path / "slide.svs", PICTURE)
    slide, shown = only(tmp_path), viewing(tmp_path)
    assert (shown.has(slide), shown.has("other-00000000")) == (True, False)
    with pytest.raises(AbsentError, match="isn't known here"):
        shown.look("other-00000000")
    shown.look(slide)
    path.unlink()
    with pytest.raises(AbsentError, match="isn't where it lay"):
        tile(shown, slide, 0, 0, 0)


def test_another_file_in_the_slides_place_is_not_shown(viewing: Callable[..., Viewing], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = make.write_svs(tmp_path / "in" / "slide.svs", PICTURE)
    other = make.write_svs(tmp_path / "slide.svs", PICTURE[::-1].copy())
    slide, shown = only(tmp_path / "in"), viewing(tmp_path / "in")
    tile(shown, slide, 0, 0, 0)
    shutil.copy(other, path)
    os.utime(path, ns=(1, 1))
    with pytest.raises(AbsentError, match="another file lies"):
        tile(shown, slide, 0, 0, 0)


def test_file_that_is_no_slide_is_told(viewing: Callable[..., Viewing], tmp_path: Path) -> None:
    (tmp_path / "slide.svs").write_bytes(b"II*\0" + bytes(500))
    with pytest.raises(UnreadableError):
        viewing(tmp_path).look(only(tmp_path))


def test_process_that_dies_is_started_again(viewing: Callable[..., Viewing], tmp_path: Path) -> None:
    make.write_svs(tmp_path / "slide.svs", PICTURE)
    slide, shown = only(tmp_path), viewing(tmp_path)
    before = tile(shown, slide, 0, 0, 0)
    process = shown._pool.children[0]._process
    assert process is not None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert tile(shown, slide, 0, 0, 0) == before


@pytest.fixture
def traps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let child processes find the reader of tests/plugins, whose slides crash or hang."""
    paths = [str(PLUGINS), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


@pytest.mark.usefixtures("traps")
def test_tile_that_kills_the_process_costs_itself_only(viewing: Callable[..., Viewing], tmp_path: Path) -> None:
    path = write_trap(tmp_path / "slide.trap", harm={"kind": "segv", "x": 100, "y": 100})
    shown = viewing(tmp_path)
    shown._places = {"trap": path}
    with pytest.raises(ChildError):
        tile(shown, "trap", 0, 0, 0)
    with pytest.raises(ChildError, match="isn't tried again"):
        tile(shown, "trap", 0, 0, 0)
    assert tile(shown, "trap", 0, 2, 2)


@pytest.mark.usefixtures("traps")
def test_tile_that_hangs_is_given_up(viewing: Callable[..., Viewing], tmp_path: Path) -> None:
    path = write_trap(tmp_path / "slide.trap", harm={"kind": "loop", "x": 100, "y": 100})
    shown = viewing(tmp_path)
    shown._places = {"trap": path}
    assert tile(shown, "trap", 0, 2, 2)
    shown._pool._stall_s = 0.5
    with pytest.raises(TimeoutExceeded):
        tile(shown, "trap", 0, 0, 0)
    shown._pool._stall_s = STALL_S
    assert tile(shown, "trap", 0, 2, 2)


def test_busy_decoders_are_told_of_and_held_against_no_tile(viewing: Callable[..., Viewing], tmp_path: Path) -> None:
    make.write_svs(tmp_path / "slide.svs", PICTURE)
    slide, shown = only(tmp_path), viewing(tmp_path)
    shown.look(slide)
    process = shown._pool.children[0]._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    shown._stall_s = 0.05
    with pytest.raises(TimeoutExceeded, match="all decoders are busy"):
        tile(shown, slide, 0, 0, 0)
    process.send_signal(signal.SIGCONT)
    shown._stall_s = STALL_S
    assert tile(shown, slide, 0, 0, 0)


def test_file_that_was_only_touched_must_be_looked_at_again(viewing: Callable[..., Viewing], tmp_path: Path) -> None:
    path = make.write_svs(tmp_path / "slide.svs", PICTURE)
    slide, shown = only(tmp_path), viewing(tmp_path)
    key = TileKey(slide, 0, 0, 0)
    with pytest.raises(AbsentError, match="isn't known yet"):
        shown.tile_soon(key)
    shown.look(slide)
    before = shown.tile_soon(key).result(STALL_S)
    os.utime(path, ns=(1, 1))
    with pytest.raises(AbsentError, match="changed a moment ago"):
        shown.tile_soon(key).result(STALL_S)
    shown.look(slide)
    assert shown.tile_soon(key).result(STALL_S) == before
    path.unlink()
    with pytest.raises(AbsentError, match="isn't where it lay"):
        shown.tile_soon(key).result(STALL_S)


def test_each_process_reads_each_level_once_before_it_is_needed(
    viewing: Callable[..., Viewing], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.write_svs(tmp_path / "slide.svs", PICTURE)
    slide, shown = only(tmp_path), viewing(tmp_path, workers=2)
    asked: list[Question] = []
    plain = shown._pool.ask_ahead

    def noted(questions: Iterable[Question]) -> list[tuple[Hashable, Future[bytes]]]:
        asked.extend(one for one in questions if one.message["do"] == "tile")
        answers = plain(asked)
        for _, answer in answers:
            answer.result(STALL_S)
        return answers

    monkeypatch.setattr(shown._pool, "ask_ahead", noted)
    levels = len(shown.look(slide).levels)
    assert [(one.lane, one.is_bound) for one in asked] == [(0, True), (1, True)] * levels
    asked.clear()
    shown.tiles_ahead([TileKey(slide, 0, 0, 0)], lambda *_: None)
    assert [one.is_bound for one in asked] == [False]


def test_tiles_asked_for_ahead_come_by_themselves(viewing: Callable[..., Viewing], tmp_path: Path) -> None:
    make.write_svs(tmp_path / "slide.svs", PICTURE)
    slide, shown = only(tmp_path), viewing(tmp_path)
    shown.look(slide)
    keys = [TileKey(slide, 0, column, 0) for column in range(3)]
    found: Queue[tuple[TileKey, bytes]] = Queue()
    shown.tiles_ahead(keys, lambda key, content: found.put((key, content)))
    came = dict(found.get(timeout=STALL_S) for _ in keys)
    assert came == {key: shown.tile(key) for key in keys}


def test_many_threads_get_what_one_gets(viewing: Callable[..., Viewing], tmp_path: Path) -> None:
    make.write_svs(tmp_path / "slide.svs", PICTURE)
    slide, shown = only(tmp_path), viewing(tmp_path, workers=2)
    level = shown.look(slide).levels[0]
    places = [(column, row) for row in range(level.rows) for column in range(level.columns)] * 3
    alone = {place: tile(shown, slide, 0, *place) for place in places}
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda place: tile(shown, slide, 0, *place), places))
    assert together == [alone[place] for place in places]

"""What a decoder process dies of costs the tile it was at, and no other."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import make
from tests.traps import environment, write_trap
from wsi.config import EngineConfig, ReadConfig
from wsi.engine.decoder import Decoder
from wsi.errors import ChildError, CrashError, UnreadableError
from wsi.geometry import Point, Region, Size
from wsi.read import open_slide
from wsi.tile import Footprint

TILE_PX = 64
FOOTPRINT = Footprint(64.0, 64.0)
COORDS = (
    np.stack(np.meshgrid(np.arange(200, 840, 64), np.arange(200, 520, 64)), axis=-1).reshape(-1, 2).astype(np.int32)
)
HARMED = 17
"""The tile that the traps are set on."""


@pytest.fixture
def decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Decoder]:
    monkeypatch.setenv("PYTHONPATH", environment(tmp_path)["PYTHONPATH"])
    made = Decoder(EngineConfig(stall_s=3.0, reader_memory_gb=4.0))
    yield made
    made.stop()


def read_all(decoder: Decoder, path: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    decoder.open(path, path.name, ReadConfig())
    batches = [
        (batch.px.copy(), batch.bad) for batch in decoder.tiles(COORDS, footprint=FOOTPRINT, tile_px=TILE_PX, batch=8)
    ]
    return np.concatenate([b[0] for b in batches]), np.concatenate([b[1] for b in batches])


def harm(kind: str, **more: object) -> Mapping[str, object]:
    x, y = COORDS[HARMED]
    return {"kind": kind, "x": int(x) + 30, "y": int(y) + 30, **more}


@pytest.mark.parametrize("kind", ["segv", "abort", "kill", "stop", "exit", "loop", "alloc", "region"])
def test_harm_at_one_tile_costs_that_tile(decoder: Decoder, tmp_path: Path, kind: str) -> None:
    clean, none_bad = read_all(decoder, write_trap(tmp_path / "clean.svs"))
    assert not none_bad.any()
    tiles, bad = read_all(decoder, write_trap(tmp_path / "trap.svs", harm=harm(kind)))
    assert np.flatnonzero(bad).tolist() == [HARMED]
    assert (tiles[~bad] == clean[~bad]).all()


def test_threads_give_the_same_tiles_in_the_same_order(decoder: Decoder, tmp_path: Path) -> None:
    path = make.write_svs(tmp_path / "a.svs", make.small_picture())
    make.damage_tiles(path, [2])
    decoder.open(path, path.name, ReadConfig())
    found = []
    for threads in (1, 4):
        batches = decoder.tiles(COORDS, footprint=FOOTPRINT, tile_px=TILE_PX, batch=7, threads=threads)
        found.append([(batch.start, batch.px.copy(), batch.bad) for batch in batches])
    assert any(bad.any() for _, _, bad in found[0])
    for one, four in zip(*found, strict=True):
        assert one[0] == four[0]
        assert np.array_equal(one[1], four[1])
        assert np.array_equal(one[2], four[2])


def test_tiles_that_are_resampled_come_as_windows(decoder: Decoder, tmp_path: Path) -> None:
    path, wide = make.write_svs(tmp_path / "a.svs", make.small_picture()), Footprint(64 * 1.3, 64 * 1.3)
    info = decoder.open(path, path.name, ReadConfig())
    assert info.mpp.x == 0.5
    batches = list(decoder.tiles(COORDS, footprint=wide, tile_px=TILE_PX, batch=100))
    window = batches[0].window
    assert window is not None
    assert window.size == Size(84, 84)
    assert window.scale == pytest.approx((1.3, 1.3))
    source = open_slide(path)
    for (x, y), px in zip(COORDS.tolist(), batches[0].px, strict=False):
        assert np.array_equal(px, source.read_region(Region(Point(x, y), 0, Size(84, 84))))
    source.close()


@pytest.mark.parametrize("kind", ["segv", "region"])
def test_harm_in_a_window_costs_that_tile(decoder: Decoder, tmp_path: Path, kind: str) -> None:
    path = write_trap(tmp_path / "trap.svs", harm=harm(kind))
    decoder.open(path, path.name, ReadConfig())
    batches = decoder.tiles(COORDS[::2], footprint=Footprint(96.0, 96.0), tile_px=TILE_PX, batch=8)
    bad = np.concatenate([batch.bad for batch in batches])
    x, y = COORDS[HARMED] + 30
    inside = [i for i, (left, top) in enumerate(COORDS[::2].tolist()) if left <= x < left + 96 and top <= y < top + 96]
    assert np.flatnonzero(bad).tolist() == inside


def test_harm_done_once_costs_nothing(decoder: Decoder, tmp_path: Path) -> None:
    path = write_trap(tmp_path / "trap.svs", harm=harm("segv", once=str(tmp_path / "flag")))
    tiles, bad = read_all(decoder, path)
    assert (tmp_path / "flag").exists()
    assert not bad.any()
    assert (tiles == read_all(decoder, write_trap(tmp_path / "clean.svs"))[0]).all()


def test_slide_that_kills_at_opening_is_given_up(decoder: Decoder, tmp_path: Path) -> None:
    path = write_trap(tmp_path / "trap.svs", harm={"kind": "open"})
    with pytest.raises(CrashError, match="SIGSEGV"):
        decoder.open(path, path.name, ReadConfig())
    good = write_trap(tmp_path / "good.svs")
    assert decoder.open(good, good.name, ReadConfig()).size.width == 2000


def test_slide_that_kills_everywhere_is_given_up(
    decoder: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsi.engine.decoder.MAX_DEATHS", 3)
    path = write_trap(tmp_path / "trap.svs", harm=harm("segv"))
    decoder.open(path, path.name, ReadConfig())
    same = np.repeat(COORDS[HARMED][None], 8, axis=0)
    with pytest.raises(ChildError, match="failed 4 times"):
        list(decoder.tiles(same, footprint=FOOTPRINT, tile_px=TILE_PX, batch=2))


def test_reader_that_is_left_early_serves_the_next_slide(decoder: Decoder, tmp_path: Path) -> None:
    path = write_trap(tmp_path / "one.svs")
    decoder.open(path, path.name, ReadConfig())
    next(iter(decoder.tiles(COORDS, footprint=FOOTPRINT, tile_px=TILE_PX, batch=4)))
    other = write_trap(tmp_path / "two.svs", seed=3)
    assert not read_all(decoder, other)[1].any()


def test_file_of_no_format_is_refused_and_the_process_lives(decoder: Decoder, tmp_path: Path) -> None:
    path = tmp_path / "text.svs"
    path.write_text("no slide")
    with pytest.raises(UnreadableError, match="text"):
        decoder.open(path, path.name, ReadConfig())
    good = write_trap(tmp_path / "good.svs")
    assert decoder.open(good, good.name, ReadConfig()).reader == "trap"

"""Tiles in the event loop: at hand at once, decoded once, looked ahead; and which ones are likely to be wanted next."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

import pytest

from tests.review.cohort import BENIGN, SUSPICIOUS, UNSURE, DrawnTiles
from wsi.errors import AbsentError, RegionError
from wsi.review import TileKey, View, ViewLevel, tile_service
from wsi.review.neighbors import first_tiles, neighbors
from wsi.review.refusal import Refused
from wsi.review.tile_service import PAUSE_S, TileService
from wsi.review.tiles import Kept

VIEW = View(20_480, 20_480, (ViewLevel(20_480, 20_480, 1.0, 256), ViewLevel(5_120, 5_120, 4.0, 256)), 0.25)
SMALL = View(2_000, 1_500, (ViewLevel(2_000, 1_500, 1.0, 256), ViewLevel(500, 375, 4.0, 256)), None)
KEY = TileKey(SUSPICIOUS, 0, 10, 20)


def served(
    work: Callable[[TileService], Coroutine[Any, Any, None]],
    tiles: DrawnTiles,
    following: Callable[[str | None], tuple[str, View] | None] | None = None,
) -> None:
    """Do `work` in an event loop with a service over these tiles; `following` tells which slide is next."""

    async def look(slide: str) -> View:
        return tiles.look(slide)

    async def prepare_next(slide: str | None) -> tuple[str, View] | None:
        return following(slide) if following else None

    async def all_of_it() -> None:
        await work(TileService(tiles, Kept(), look=look, prepare_next=prepare_next))

    asyncio.run(all_of_it())


def test_tile_is_asked_for_once_and_then_at_hand() -> None:
    tiles = DrawnTiles()

    async def work(service: TileService) -> None:
        assert len({await service.tile(KEY) for _ in range(3)}) == 1

    served(work, tiles)
    assert tiles.asked == [KEY]


@pytest.mark.parametrize("key", [KEY._replace(level=3), KEY._replace(column=79), KEY._replace(row=1 << 30)])
def test_tile_beyond_the_slide_is_refused_without_asking(key: TileKey) -> None:
    tiles = DrawnTiles()

    async def work(service: TileService) -> None:
        with pytest.raises(Refused, match="no such tile"):
            await service.tile(key)

    served(work, tiles)
    assert tiles.asked == []


def test_slide_whose_file_was_touched_is_looked_at_again_and_shown() -> None:
    class Touched(DrawnTiles):
        looks = 0

        def look(self, slide: str, /, *, ahead: bool = False) -> View:
            self.looks += 1
            return super().look(slide)

        def tile_soon(self, key: TileKey, /) -> Future[bytes]:
            if self.looks < 2:
                raise AbsentError("changed a moment ago")
            return super().tile_soon(key)

    tiles = Touched()

    async def work(service: TileService) -> None:
        assert await service.tile(KEY)
        assert await service.tile(KEY._replace(row=21))

    served(work, tiles)
    assert tiles.looks == 2


def test_slide_that_is_gone_and_tile_that_is_damaged_are_told() -> None:
    async def gone(service: TileService) -> None:
        with pytest.raises(AbsentError, match="isn't where it lay"):
            await service.tile(KEY)

    async def damaged(service: TileService) -> None:
        with pytest.raises(RegionError):
            await service.tile(KEY)

    served(gone, DrawnTiles(gone={SUSPICIOUS}))
    served(damaged, DrawnTiles(fault=RegionError("a frame")))


def test_who_gives_up_takes_the_tile_from_nobody_else() -> None:
    class Slow(DrawnTiles):
        answer: Future[bytes] = Future()

        def tile_soon(self, key: TileKey, /) -> Future[bytes]:
            return self.answer

    tiles = Slow()

    async def work(service: TileService) -> None:
        one, other = (asyncio.ensure_future(service.tile(KEY)) for _ in range(2))
        await asyncio.sleep(0)
        one.cancel()
        await asyncio.sleep(0)
        tiles.answer.set_result(b"tile")
        assert await other == b"tile"

    served(work, tiles)


def test_neighbors_are_decoded_in_a_pause_and_kept() -> None:
    class Eager(DrawnTiles):
        def tiles_ahead(self, keys: Any, take: Callable[[TileKey, bytes], object], /) -> None:
            super().tiles_ahead(keys, take)
            for key in keys:
                take(key, b"ahead")

    tiles = Eager()

    async def work(service: TileService) -> None:
        await service.tile(KEY)
        assert tiles.ahead == []
        await asyncio.sleep(3 * PAUSE_S)
        assert KEY not in tiles.ahead
        beside = KEY._replace(column=11)
        assert beside in tiles.ahead
        assert await service.tile(beside) == b"ahead"
        await asyncio.sleep(3 * PAUSE_S)
        assert beside not in tiles.ahead, "what is at hand isn't decoded again"

    served(work, tiles)
    assert tiles.asked == [KEY]


def test_first_view_of_the_next_slide_is_made_ready_once_when_nobody_asks_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tile_service, "REST_S", 0.03)
    tiles, asked = DrawnTiles(), list[str | None]()

    def following(slide: str | None) -> tuple[str, View]:
        asked.append(slide)
        return BENIGN, SMALL

    async def work(service: TileService) -> None:
        for row in (20, 21):
            await service.tile(KEY._replace(row=row))
            await asyncio.sleep(0.1)
        assert asked == [SUSPICIOUS]
        assert set(tiles.ahead) <= {TileKey(SUSPICIOUS, level, c, r) for level in (0, 1) for c in range(80) for r in range(80)}  # fmt: skip
        await service.tile(TileKey(UNSURE, 0, 1, 1))
        await asyncio.sleep(0.1)
        assert asked == [SUSPICIOUS, UNSURE]
        assert {key.slide for key in tiles.ahead} == {BENIGN}

    served(work, tiles, following)


def test_slide_to_come_that_cannot_be_shown_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_service, "REST_S", 0.03)

    def gone(slide: str | None) -> tuple[str, View]:
        raise AbsentError("it isn't where it lay")

    async def work(service: TileService) -> None:
        await service.tile(KEY)
        await asyncio.sleep(0.1)
        assert await service.tile(KEY._replace(row=22))

    served(work, DrawnTiles(), gone)


def test_first_tiles_are_the_finest_level_that_fits() -> None:
    assert first_tiles("s", SMALL, most=48)[-1] == TileKey("s", 0, 7, 5)
    assert first_tiles("s", SMALL, most=47) == [TileKey("s", 1, c, r) for r in range(2) for c in range(2)]
    assert first_tiles("s", SMALL, most=3) == []


def test_nearest_tiles_come_first_then_the_coarser_ones_then_the_middle_of_the_finer() -> None:
    asked = [TileKey("s", 0, column, 5) for column in (4, 5)]
    found = neighbors(VIEW, asked, most=100)
    ring = {(column, row) for column in range(3, 7) for row in range(4, 7)} - {(4, 5), (5, 5)}
    assert {(key.column, key.row) for key in found[: len(ring)]} == ring
    assert (found[0].column, found[0].row) == (4, 4), "those of the last one before all others"
    wider = {(column, row) for column in range(2, 8) for row in range(3, 8)} - ring - {(4, 5), (5, 5)}
    assert {(key.column, key.row) for key in found[len(ring) : len(ring) + len(wider)]} == wider
    assert found[len(ring) + len(wider) :] == [TileKey("s", 1, 1, 1)]
    finer = [key for key in neighbors(VIEW, [TileKey("s", 1, 10, 10)], most=200) if key.level == 0]
    assert finer[0] == TileKey("s", 0, 42, 42)
    assert max(max(abs(key.column - 42), abs(key.row - 42)) for key in finer) == 4


def test_levels_of_few_tiles_are_wanted_whole() -> None:
    asked = [TileKey("s", 1, 0, 0)]
    found = set(neighbors(SMALL, asked, most=500))
    assert found == {TileKey("s", 0, c, r) for c in range(8) for r in range(6)} | {TileKey("s", 1, c, r) for c in range(2) for r in range(2)} - set(asked)  # fmt: skip
    assert len(neighbors(VIEW, asked, most=500)) < 120, "400 and 6,400 tiles are too many"


def test_neighbors_lie_on_the_slide_are_new_and_no_more_than_asked_for() -> None:
    corner = [TileKey("s", 1, 19, 19)]
    found = neighbors(VIEW, corner, most=500)
    assert all(VIEW.holds(key) for key in found)
    assert len(set(found) | set(corner)) == len(found) + 1
    assert len(neighbors(VIEW, corner, most=5)) == 5
    assert neighbors(VIEW, [], most=5) == []

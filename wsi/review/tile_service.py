"""Tiles as the page asks for them: those at hand at once, the others decoded, and their neighbors ahead of time."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from wsi.errors import AbsentError, WsiError
from wsi.review.in_time import in_time
from wsi.review.neighbors import first_tiles, neighbors
from wsi.review.refusal import Refused
from wsi.review.tiles import Kept, TileKey, Tiles, View

PAUSE_S, REST_S = 0.02, 0.3
"""Without a question for so long, the neighbors of what was asked for last are decoded, and then the next slide."""
WINDOW, AHEAD = 64, 384
"""Tiles that a window shows, from which it is looked ahead, and tiles that are decoded ahead at most."""
FIRST = 192
"""Tiles that show a whole slide at most."""


class TileService:
    """Answers in the event loop, which never waits for a disk or a decoder."""

    def __init__(
        self,
        tiles: Tiles,
        kept: Kept,
        *,
        look: Callable[[str], Awaitable[View]],
        prepare_next: Callable[[str | None], Awaitable[tuple[str, View] | None]],
    ) -> None:
        """Take where tiles come from, and where they are kept.

        Args:
            look: returns how a slide is shown; Refused when it can't be.
            prepare_next: makes ready the slide to review after one, and returns it and how it is shown.
        """
        self._tiles, self._kept, self._look, self._prepare_next = tiles, kept, look, prepare_next
        self._views: dict[str, View] = {}
        self._asked: deque[TileKey] = deque(maxlen=WINDOW)
        self._pauses: tuple[asyncio.TimerHandle, ...] = ()
        self._since = 0.0
        self._next: asyncio.Task[None] | None = None
        self._waiting = 0

    async def tile(self, key: TileKey) -> bytes:
        """Return a tile as a JPEG; Refused where there is none."""
        content = self._kept.get(key)
        if content is None:
            with in_time():
                content = self._kept.put(key, await self._decoded(key))
        self._note(key)
        return content

    async def _decoded(self, key: TileKey) -> bytes:
        view = self._views.get(key.slide) or await self._looked(key.slide)
        if not view.holds(key):
            raise Refused(404, "E_RANGE", "The slide has no such tile.", next="Reload the page.")
        try:
            return await self._soon(key)
        except AbsentError:  # its file was moved, changed or only touched, which a look tells
            await self._looked(key.slide)
            return await self._soon(key)

    async def _looked(self, slide: str) -> View:
        self._views.pop(slide, None)
        view = self._views[slide] = await self._look(slide)
        return view

    async def _soon(self, key: TileKey) -> bytes:
        """Return a tile once it is decoded; who gives up takes it from nobody else."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        tile = self._tiles.tile_soon(key)
        tile.add_done_callback(lambda _: _wake(loop, waiter))
        self._waiting += 1
        try:
            await waiter
        finally:
            self._waiting -= 1
        return tile.result()

    def _note(self, key: TileKey) -> None:
        """Remember what was asked for, and look ahead from it after a pause."""
        if self._asked and self._asked[-1].slide != key.slide:
            self._asked.clear()
            self._next = None
        self._asked.append(key)
        loop = asyncio.get_running_loop()
        if loop.time() - self._since < PAUSE_S / 4:
            return  # questions come in swarms, and a timer for each costs as much as an answer
        self._since = loop.time()
        for pause in self._pauses:
            pause.cancel()
        self._pauses = loop.call_later(PAUSE_S, self._look_ahead), loop.call_later(REST_S, self._rest)

    def _look_ahead(self) -> None:
        view = self._views.get(self._asked[-1].slide)
        if view is not None and not self._waiting:
            self._decode_ahead(neighbors(view, self._asked, most=2 * AHEAD))

    def _rest(self) -> None:
        """Make the next slide ready, once for each that is looked at."""
        if self._next is None:
            self._next = asyncio.create_task(self.prepare(self._asked[-1].slide))

    async def prepare(self, slide: str | None) -> None:
        """Let the first view of the slide after this one be ready; of the very first with None."""
        with contextlib.suppress(WsiError):  # whoever opens it is told
            found = await self._prepare_next(slide)
            if found is not None:
                following, view = found
                self._views[following] = view
                self._decode_ahead(first_tiles(following, view, most=FIRST))

    def _decode_ahead(self, keys: Iterable[TileKey]) -> None:
        missing = [key for key in keys if self._kept.get(key) is None]
        with contextlib.suppress(AbsentError):
            self._tiles.tiles_ahead(missing[:AHEAD], self._kept.put)


def _wake(loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[None]) -> None:
    """Let the waiter go on, from any thread; nobody waits in a loop that has ended."""

    def go_on() -> None:
        if not waiter.done():
            waiter.set_result(None)

    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(go_on)

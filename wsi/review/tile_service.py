"""Tiles as the page asks for them: those at hand at once, the others decoded, and their neighbors ahead of time."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

from wsi.errors import AbsentError
from wsi.review.neighbors import neighbors
from wsi.review.refusal import Refused
from wsi.review.tiles import Kept, TileKey, Tiles, View

PAUSE_S = 0.02
"""Without a question for so long, the neighbors of what was asked for last are decoded."""
WINDOW, AHEAD = 64, 128
"""Tiles that a window shows, from which it is looked ahead, and tiles that are decoded ahead at most."""


class TileService:
    """Answers in the event loop, which never waits for a disk or a decoder."""

    def __init__(self, tiles: Tiles, kept: Kept, look: Callable[[str], Awaitable[View]]) -> None:
        """Take where tiles come from, and where they are kept.

        Args:
            look: returns how a slide is shown; Refused when it can't be.
        """
        self._tiles, self._kept, self._look = tiles, kept, look
        self._views: dict[str, View] = {}
        self._asked: deque[TileKey] = deque(maxlen=WINDOW)
        self._pause: asyncio.TimerHandle | None = None

    async def tile(self, key: TileKey) -> bytes:
        """Return a tile as a JPEG; Refused where there is none."""
        content = self._kept.get(key)
        if content is None:
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
        return await asyncio.shield(asyncio.wrap_future(self._tiles.tile_soon(key)))

    def _note(self, key: TileKey) -> None:
        """Remember what was asked for, and look ahead from it after a pause."""
        if self._asked and self._asked[-1].slide != key.slide:
            self._asked.clear()
        self._asked.append(key)
        if self._pause is not None:
            self._pause.cancel()
        self._pause = asyncio.get_running_loop().call_later(PAUSE_S, self._look_ahead)

    def _look_ahead(self) -> None:
        view = self._views.get(self._asked[-1].slide)
        if view is None:
            return
        likely = [key for key in neighbors(view, self._asked, most=2 * AHEAD) if self._kept.get(key) is None]
        with contextlib.suppress(AbsentError):
            self._tiles.tiles_ahead(likely[:AHEAD], self._kept.put)

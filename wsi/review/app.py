"""The review page over OUT as a web application: which address gives what."""

import asyncio
import contextlib
import functools
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wsi.errors import WsiError
from wsi.review.answers import as_json, refusal
from wsi.review.desk import Desk
from wsi.review.folder import ReviewFolder
from wsi.review.guard import Door, Guard, read_body, with_headers
from wsi.review.in_time import in_time
from wsi.review.refusal import Refused, of_status, refused
from wsi.review.tile_service import TileService
from wsi.review.tiles import Kept, Piece, TileKey, Tiles

PAGE = Path(__file__).with_name("page")
SERVED = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
THREADS = 24
MAX_CROP_PX = 512
MAX_SIDE = 1 << 31
_TILE_CACHE = {"cache-control": "private, max-age=3600"}
_NOT_KEPT = {"cache-control": "no-store"}
_log = logging.getLogger(__name__)
T = TypeVar("T")


def make_app(
    folder: ReviewFolder,
    tiles: Tiles,
    *,
    token: str,
    once: str = "",
    host: str = "127.0.0.1",
    port: int = 0,
    beside: ReviewFolder | None = None,
    blind: bool = False,
    reviewer: str = "",
) -> Starlette:
    """Return the application.

    Args:
        tiles: the way to the px of the slides.
        token: what the link that opens the page holds.
        once: what a link holds that opens the page one time; "" for none.
        host, port: what it listens on; a request by another name is refused.
        beside: another run over the same slides, whose results are seen beside.
        blind: show no verdict before the reviewer's own read of the case is written down; needs `reviewer`.
        reviewer: who reviews; "" lets the page say it with each decision.

    Raises:
        ValueError: blind without a reviewer.
    """
    pages = Pages(Desk(folder, tiles, beside=beside, blind=blind, reviewer=reviewer), tiles)
    routes = [
        Route("/api/cases/{slide}/tiles/{level}/{column}/{row}", pages.tile),  # asked for by far the most: found first
        Route("/", pages.index),
        Route("/page/{name}", pages.file),
        Route("/api/run", pages.run),
        Route("/api/cases", pages.cases),
        Route("/api/cases/{slide}", pages.case),
        Route("/api/cases/{slide}/thumbnail", pages.thumbnail),
        Route("/api/cases/{slide}/overlay", pages.overlay),
        Route("/api/cases/{slide}/crop", pages.crop),
        Route("/api/cases/{slide}/heat/{layer}", pages.heat),
        Route("/api/cases/{slide}/outlines", pages.outlines),
        Route("/api/cases/{slide}/beside", pages.beside),
        Route("/api/cases/{slide}/beside/heat/{layer}", pages.heat_beside),
        Route("/api/cases/{slide}/beside/outlines", pages.outlines_beside),
        Route("/api/cases/{slide}/decisions", pages.decisions),
        Route("/api/cases/{slide}/decisions", pages.decide, methods=["POST"]),
    ]
    handlers: Mapping[Any, Any] = {WsiError: _on_error, HTTPException: _on_status, Exception: _on_bug}
    middleware = [Middleware(Guard, door=Door(token, host, port, once))]
    return Starlette(routes=routes, exception_handlers=handlers, middleware=middleware, lifespan=pages.alive)


def _on_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, WsiError)
    return refusal(refused(error))


def _on_status(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusal(of_status(error.status_code))


def _on_bug(_request: Request, error: Exception) -> Response:
    return with_headers(
        refusal(Refused(500, "E_BUG", f"A fault in this tool ({type(error).__name__}).", next="Report it."))
    )


class Pages:
    """What each address answers. Files and decoders are waited for in threads, never in the event loop."""

    def __init__(self, desk: Desk, tiles: Tiles) -> None:
        self._desk = desk
        self._kept = Kept()
        self._tiles = TileService(
            tiles,
            self._kept,
            look=lambda slide: self._wait(desk.look, slide),
            prepare_next=lambda slide: self._wait(desk.prepare_next, slide),
        )
        self._limit: anyio.CapacityLimiter | None = None
        self._files = {p.name: SERVED[p.suffix] for p in PAGE.iterdir() if p.suffix in SERVED and p.is_file()}

    @contextlib.asynccontextmanager
    async def alive(self, _app: Starlette) -> AsyncIterator[None]:
        """Make the first slide ready as soon as the server runs."""
        first = asyncio.create_task(self._tiles.prepare(None))
        yield
        first.cancel()

    async def index(self, request: Request) -> Response:
        return await self._page("index.html")

    async def file(self, request: Request) -> Response:
        return await self._page(request.path_params["name"])

    async def _page(self, name: str) -> Response:
        if name not in self._files:
            raise of_status(404)
        content = await self._wait((PAGE / name).read_bytes)
        return Response(content, media_type=self._files[name], headers={"cache-control": "no-cache"})

    async def run(self, request: Request) -> Response:
        return as_json(await self._wait(self._desk.run))

    async def cases(self, request: Request) -> Response:
        return as_json({"cases": await self._wait(self._desk.cases)})

    async def case(self, request: Request) -> Response:
        return as_json(await self._wait(self._desk.case, request.path_params["slide"]))

    async def thumbnail(self, request: Request) -> Response:
        content = await self._wait(self._desk.thumbnail, request.path_params["slide"])
        return Response(content, media_type="image/jpeg", headers=_TILE_CACHE)

    async def overlay(self, request: Request) -> Response:
        content = await self._wait(self._desk.overlay, request.path_params["slide"])
        return Response(content, media_type="image/png", headers=_NOT_KEPT)

    async def tile(self, request: Request) -> Response:
        slide = request.path_params["slide"]
        level, column, row = (_number(request.path_params[name], name) for name in ("level", "column", "row"))
        content = await self._tiles.tile(TileKey(slide, level, column, row))
        return Response(content, media_type="image/jpeg", headers=_TILE_CACHE)

    async def crop(self, request: Request) -> Response:
        slide = request.path_params["slide"]
        asked = request.query_params
        x, y, width, height, px = (_number(asked.get(name, ""), name) for name in ("x", "y", "width", "height", "px"))
        if not 1 <= px <= MAX_CROP_PX or not width or not height:
            raise _outside(f"a piece has sides of 1 px and more and is shown at 1 to {MAX_CROP_PX} px")
        piece = Piece(x, y, width, height, px)
        content = self._kept.get((slide, piece)) if self._desk.is_case(slide) else None
        if content is None:
            content = await self._wait(self._desk.crop, slide, piece)
            self._kept.put((slide, piece), content)
        return Response(content, media_type="image/jpeg", headers=_TILE_CACHE)

    async def heat(self, request: Request) -> Response:
        return await self._heat(request, beside=False)

    async def heat_beside(self, request: Request) -> Response:
        return await self._heat(request, beside=True)

    async def _heat(self, request: Request, *, beside: bool) -> Response:
        slide, layer = request.path_params["slide"], request.path_params["layer"]
        content = await self._wait(functools.partial(self._desk.heat, slide, layer, beside=beside))
        return Response(content, media_type="application/octet-stream", headers=_NOT_KEPT)

    async def outlines(self, request: Request) -> Response:
        return await self._outlines(request, beside=False)

    async def outlines_beside(self, request: Request) -> Response:
        return await self._outlines(request, beside=True)

    async def _outlines(self, request: Request, *, beside: bool) -> Response:
        content = await self._wait(functools.partial(self._desk.outlines, request.path_params["slide"], beside=beside))
        return Response(content, media_type="application/geo+json", headers=_NOT_KEPT)

    async def beside(self, request: Request) -> Response:
        return as_json(await self._wait(self._desk.beside, request.path_params["slide"]))

    async def decisions(self, request: Request) -> Response:
        return as_json(await self._wait(self._desk.decisions, request.path_params["slide"]))

    async def decide(self, request: Request) -> Response:
        body = await read_body(request.receive)
        return as_json(await self._wait(self._desk.decide, request.path_params["slide"], body), status=201)

    async def _wait(self, work: Callable[..., T], *given: Any) -> T:
        """Return what `work` gives, done in a thread; Refused (503) when it takes too long."""
        self._limit = self._limit or anyio.CapacityLimiter(THREADS)
        with in_time():
            return await anyio.to_thread.run_sync(
                functools.partial(work, *given), abandon_on_cancel=True, limiter=self._limit
            )


def _number(text: str, name: str) -> int:
    """Return a whole number that an address gives; Refused for anything else."""
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) >= MAX_SIDE:
        raise _outside(f"{name} must be a whole number from 0 to {MAX_SIDE - 1}")
    return int(text)


def _outside(message: str) -> Refused:
    return Refused(422, "E_RANGE", f"Out of range: {message}.", next="Reload the page.")

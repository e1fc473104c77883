"""The door of the server: who may ask, from where, how much at once, and what every answer carries.

It listens to one browser on this machine. Other pages in that browser (DNS rebinding, cross-site requests), other
users of the machine and broken clients are what it keeps out.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response

from wsi.review.answers import refusal
from wsi.review.refusal import Refused

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
_SEALS = tuple((name.encode(), value.encode()) for name, value in HEADERS.items())
MAX_BODY_BYTES = 4 << 20
MAX_TARGET_BYTES = 2048
MAX_AT_ONCE, MAX_WAITING, WAIT_S = 32, 256, 20.0
BODY_S = 10.0
"""A body that hasn't come whole by then is given up."""
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_METHODS = ("GET", "HEAD", "POST")
_ODD = re.compile(rb"%(?:2f|5c|00|0[1-9a-f]|1[0-9a-f]|7f)|[^!-~]|\\|//|(?:^|/)(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)
"""In a path: encoded slashes, control characters, empty and dot segments. No address of ours has them."""
_ENTRY = (
    "<!doctype html><meta charset=utf-8><title>wsi-run review</title><p>This page opens through the link with a "
    "token that <code>wsi-run review</code> printed in the terminal. Open that link once more."
)


@dataclass(frozen=True, slots=True)
class Door:
    """What opens the page: the token of the link, and the name by which the server is reached.

    host: the address it listens on. port: tells the cookies of two servers apart. once: a token that opens it one time,
    for a link that others on this machine may read; "" is none.
    """

    token: str
    host: str
    port: int
    once: str = ""

    @property
    def cookie(self) -> str:
        return f"wsi_review_{self.port}"

    @property
    def session(self) -> str:
        """What the cookie holds: made from the token, which can't be told from it."""
        return hmac.new(self.token.encode(), b"wsi-run review session", hashlib.sha256).hexdigest()

    def is_name(self, host: str) -> bool:
        """Return whether a Host header names this server: by an address or localhost, never by a foreign name."""
        name, port = _split(host)
        if port not in (str(self.port), "") or (port == "" and self.port != 80):
            return False
        if name in LOOPBACK or name == self.host.lower():
            return True
        return self.host in ("0.0.0.0", "::") and _is_address(name)  # noqa: S104  (compared, not bound)


def new_token() -> str:
    return secrets.token_urlsafe(32)


class Guard:
    """An ASGI application around the page's own: it answers itself whatever may not pass."""

    def __init__(self, app: App, door: Door) -> None:
        self._app, self._door, self._once = app, door, door.once
        self._session = door.session.encode()
        self._places = asyncio.Semaphore(MAX_AT_ONCE)
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            passed = self._check(scope)
        except Refused as error:
            await with_headers(refusal(error))(scope, receive, send)
            return
        if passed is not None:
            await with_headers(passed)(scope, receive, send)
            return
        await self._in_turn(scope, receive, send)

    def _check(self, scope: Scope) -> Response | None:
        """Return the answer of the door itself: to the link, or to a stranger at `/`; None for what may pass.

        Raises:
            Refused: it may not.
        """
        headers, door = Headers(scope=scope), self._door
        if not door.is_name(_only(headers, "host")):
            raise _no(403, "E_HOST", "This server isn't called by that name.")
        if scope["method"] not in _METHODS:
            raise _no(405, "E_METHOD", "Only GET, HEAD and POST are understood.")
        _check_target(scope)
        origin, here = headers.get("origin"), _origins(headers["host"])
        if origin is not None and origin not in here:
            raise _no(403, "E_ORIGIN", "Another site may not ask this server.")
        link = scope["path"] == "/" and scope["method"] == "GET"
        if not link and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise _no(403, "E_ORIGIN", "Another site may not ask this server.")
        if link and b"token=" in scope["query_string"]:
            return self._enter(scope["query_string"])
        self._check_cookie(headers.getlist("cookie"), link=link)
        if scope["method"] == "POST":
            _check_post(headers)
        elif headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            raise _no(400, "E_BODY", "A GET has no body.")
        return None

    def _enter(self, query: bytes) -> Response:
        try:
            given = parse_qs(query.decode("ascii"), max_num_fields=4).get("token", [""])
        except (UnicodeDecodeError, ValueError) as error:
            raise _no(400, "E_TOKEN", "The link isn't whole.") from error
        if len(given) != 1 or not self._is_known(given[0]):
            raise _no(403, "E_TOKEN", "The token in the link isn't this server's, or was used before.")
        answer = RedirectResponse("/", 303, headers={"cache-control": "no-store"})
        answer.set_cookie(self._door.cookie, self._door.session, path="/", httponly=True, samesite="strict")
        return answer

    def _is_known(self, token: str) -> bool:
        """Return whether a token opens the page; the one for one use does so only now."""
        if hmac.compare_digest(token.encode(), self._door.token.encode()):
            return True
        if not self._once or not hmac.compare_digest(token.encode(), self._once.encode()):
            return False
        self._once = ""
        return True

    def _check_cookie(self, lines: Iterable[str], *, link: bool) -> None:
        crumbs = [crumb.strip().partition("=") for line in lines for crumb in line.split(";")]
        given = [value for name, _, value in crumbs if name == self._door.cookie]
        if not given:
            raise _no(401, "E_TOKEN", "This server knows you only by the link that it printed.", html=link)
        if any(not hmac.compare_digest(value.encode(), self._session) for value in given):
            raise _no(403, "E_TOKEN", "The link that opened this page was another server's.", html=link)

    async def _in_turn(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through when there is room, and refuse it when too many wait already."""
        if self._waiting >= MAX_WAITING:
            await with_headers(refusal(_busy()))(scope, receive, send)
            return
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_S if self._places.locked() else None):
                await self._places.acquire()
        except TimeoutError:
            await with_headers(refusal(_busy()))(scope, receive, send)
            return
        finally:
            self._waiting -= 1
        try:
            await self._app(scope, receive, _sealing(send))
        finally:
            self._places.release()


async def read_body(receive: Receive) -> bytes:
    """Return a request's body; Refused when it is larger or slower than any decision is."""
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _no(400, "E_BODY", "The request was given up by its sender.")
                content += bytes(message.get("body", b""))
                if len(content) > MAX_BODY_BYTES:
                    raise _no(413, "E_BODY", f"A request holds {MAX_BODY_BYTES >> 20} MiB at most.")
                if not message.get("more_body"):
                    return bytes(content)
    except TimeoutError as error:
        raise _no(408, "E_BODY", "The body of the request didn't come.") from error


def _check_target(scope: Scope) -> None:
    raw = scope.get("raw_path") or scope["path"].encode()
    if len(raw) + len(scope["query_string"]) > MAX_TARGET_BYTES:
        raise _no(414, "E_ADDRESS", "The address is longer than any of this page.")
    if _ODD.search(raw) or not scope["path"].isprintable():
        raise _no(400, "E_ADDRESS", "The address isn't one of this page.")


def _check_post(headers: Headers) -> None:
    if headers.get("origin") is None or headers.get("x-wsi") != "1":
        raise _no(403, "E_ORIGIN", "Only the page itself may send decisions.")
    if _only(headers, "content-type").split(";")[0].strip().lower() != "application/json":
        raise _no(415, "E_BODY", "A decision is sent as application/json.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise _no(415, "E_BODY", "A decision is sent uncompressed.")
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()):
        raise _no(411, "E_BODY", "A decision says how long it is.")
    if len(length) > 12 or int(length) > MAX_BODY_BYTES:
        raise _no(413, "E_BODY", f"A request holds {MAX_BODY_BYTES >> 20} MiB at most.")


def _only(headers: Headers, name: str) -> str:
    found = headers.getlist(name)
    if len(found) != 1:
        raise _no(400, "E_HEADER", f"A request has one header {name}.")
    return found[0]


def _origins(host: str) -> tuple[str, str]:
    return f"http://{host.lower()}", f"http://{host}"


def _split(host: str) -> tuple[str, str]:
    """Return the name and the port of a Host header; brackets of IPv6 addresses left out."""
    found = re.fullmatch(r"\[([0-9a-fA-F:.]+)\](?::(\d{1,5}))?|([A-Za-z0-9._-]+)(?::(\d{1,5}))?", host)
    if found is None:
        return "", "-"
    return (found[1] or found[3]).lower(), found[2] or found[4] or ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _no(status: int, code: str, message: str, *, html: bool = False) -> Refused:
    error = Refused(status, code, message, next="Open the link that wsi-run review printed in the terminal.")
    error.page = _ENTRY if html else ""
    return error


def _busy() -> Refused:
    return Refused(429, "E_BUSY", "Too many requests at once.", next="Wait a moment and try again.", wait_s=2)


def with_headers(answer: Response) -> Response:
    """Return the answer with the headers that every answer carries."""
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer


def _sealing(send: Send) -> Send:
    """Return a `send` that puts the headers of every answer on."""

    async def sealed(message: Message) -> None:
        if message["type"] == "http.response.start":
            there = {name for name, _ in message["headers"]}
            more = [header for header in _SEALS if header[0] not in there]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sealed

"""Real servers over a socket, in a thread, and a client that sends bytes as they are."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette

from tests.review.cohort import TOKEN, DrawnTiles, open_folder
from wsi.cli.review import listen, server_settings
from wsi.engine import journal
from wsi.engine.viewing import Viewing
from wsi.review import ReviewFolder, make_app, slide_places, slides_below


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, headers and body as bytes."""

    status: int
    head: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Served:
    """A server at work: its port and the cookie that opens it."""

    port: int
    cookie: str

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def send(self, raw: bytes, *, wait_s: float = 20.0) -> Answer:
        """Send bytes on a new connection and return the answer."""
        with socket.create_connection(("127.0.0.1", self.port), wait_s) as connection:
            with contextlib.suppress(ConnectionError):  # it may answer and close before all is sent
                connection.sendall(raw)
            content = b""
            with contextlib.suppress(ConnectionError):
                while block := connection.recv(1 << 16):
                    content += block
        head, _, body = content.partition(b"\r\n\r\n")
        return Answer(int(head.split(b" ", 2)[1]) if head else 0, head, body)

    def ask(
        self, target: str, method: str = "GET", *, body: bytes = b"", cookie: str | None = None, **headers: str | None
    ) -> Answer:
        """Send a request as the page would, with some headers changed (None: left out)."""
        told: dict[str, str | None] = {
            "host": self.host,
            "cookie": self.cookie if cookie is None else cookie,
            "connection": "close",
        }
        if method == "POST":
            told |= {"origin": f"http://{self.host}", "x-wsi": "1", "content-type": "application/json", "content-length": str(len(body))}  # fmt: skip
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items() if value)]
        return self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)


@contextlib.contextmanager
def running(make: Callable[[int], Starlette], *, host: str = "127.0.0.1", keep_alive_s: int = 20) -> Iterator[int]:
    """Yield the port of a server that runs in a thread until the block ends; `make` makes its application for a port."""
    listening = listen(host, 0)
    port = int(listening.getsockname()[1])
    settings = server_settings(make(port))
    settings.timeout_keep_alive = keep_alive_s
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield port
    finally:
        server.should_exit = True
        thread.join(20)


@contextlib.contextmanager
def served(out: Path, tiles: DrawnTiles | None = None, *, host: str = "127.0.0.1") -> Iterator[Served]:
    """Yield a server over `out`, whose link was followed already."""

    def make(port: int) -> Starlette:
        return make_app(open_folder(out), tiles or DrawnTiles(), token=TOKEN, host=host, port=port)

    with running(make, host=host, keep_alive_s=1) as port:  # an answer is read until the server closes
        entered = Served(port, "").send(f"GET /?token={TOKEN} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n".encode())  # fmt: skip
        cookie = entered.head.lower().split(b"set-cookie: ")[1].split(b";")[0].decode()
        yield Served(port, cookie)


@contextlib.contextmanager
def reviewed(
    out: Path,
    *,
    slides: Path | None = None,
    beside: Path | None = None,
    model: Path | None = None,
    blind: bool = False,
    reviewer: str = "",
) -> Iterator[str]:
    """Yield the link of a server over a real run and its slides, as `wsi-run review` with these options starts it."""
    models = [str(model)] if model else []
    folder = ReviewFolder(out, lambda: journal.read(out), models=models)
    other = ReviewFolder(beside, lambda: journal.read(beside), models=models) if beside else None
    found = slides_below(slides, folder.records()) if slides else {}
    viewing = Viewing(slide_places(out, folder.records()) | found, is_picture=folder.is_picture, workers=1)
    viewing.warm()
    given: dict[str, Any] = {"token": TOKEN, "beside": other, "blind": blind, "reviewer": reviewer}
    try:
        with running(lambda port: make_app(folder, viewing, port=port, **given)) as port:
            yield f"http://127.0.0.1:{port}/?token={TOKEN}"
    finally:
        viewing.close()

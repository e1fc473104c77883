"""A real server over a socket, and a client that sends bytes as they are."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from tests.review.cohort import TOKEN, DrawnTiles, open_folder
from wsi.cli.review import listen, server_settings
from wsi.review import make_app


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
def served(out: Path, tiles: DrawnTiles | None = None, *, host: str = "127.0.0.1") -> Iterator[Served]:
    """Yield a server over `out` that runs in a thread until the block ends."""
    listening = listen(host, 0)
    port = int(listening.getsockname()[1])
    app = make_app(open_folder(out), tiles or DrawnTiles(), token=TOKEN, host=host, port=port)
    settings = server_settings(app)
    settings.timeout_keep_alive = 1  # an answer is read until the server closes
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        entered = Served(port, "").send(f"GET /?token={TOKEN} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n".encode())  # fmt: skip
        cookie = entered.head.lower().split(b"set-cookie: ")[1].split(b";")[0].decode()
        yield Served(port, cookie)
    finally:
        server.should_exit = True
        thread.join(20)

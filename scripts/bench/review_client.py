"""A client of the review's server that costs little, as it shares the cores with what it measures."""

import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


class _Connection(asyncio.Protocol):
    """One connection that asks for one address after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._content = transport, b""
        self._answer: asyncio.Future[bytes] | None = None

    async def get(self, request: bytes) -> bytes:
        self._answer = answer = asyncio.Future[bytes]()
        self._transport.write(request)
        return await answer

    def data_received(self, data: bytes) -> None:
        self._content += data
        head, end, body = self._content.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n") if end else None
        if self._answer is None or length is None or len(body) < int(length[1]):
            return
        self._content = b""
        if head.split(b" ", 2)[1] == b"200":
            self._answer.set_result(body)
        else:
            self._answer.set_exception(RuntimeError(f"{head!r} {body[:300]!r}"))

    def connection_lost(self, _error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the server closed the connection"))

    def close(self) -> None:
        self._transport.close()


class Client:
    """A browser that came in by the link, with so many connections."""

    def __init__(self, link: str, connections: int) -> None:
        address, _, query = link.removeprefix("http://").partition("/")
        self._host, port = address.rsplit(":", 1)
        self._port, self._count = int(port), connections
        self._connections: list[_Connection] = []
        door = http.client.HTTPConnection(self._host, self._port)
        door.request("GET", f"/{query}")
        self._cookie = (door.getresponse().headers["set-cookie"] or "").split(";")[0]
        door.close()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for _ in range(self._count):
            _, made = await loop.create_connection(_Connection, self._host, self._port)
            self._connections.append(made)
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.close()

    async def json(self, path: str) -> Any:
        return json.loads(await self._connections[0].get(self._request(path)))

    async def seconds(self, paths: Sequence[str]) -> list[float]:
        """Ask for all of these, as many at once as there are connections; return what each took from being sent."""
        left, taken = iter(paths), list[float]()

        async def ask(connection: _Connection) -> None:
            for path in left:
                started = time.perf_counter()
                await connection.get(self._request(path))
                taken.append(time.perf_counter() - started)

        await asyncio.gather(*map(ask, self._connections))
        return taken

    def _request(self, path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nhost: {self._host}:{self._port}\r\ncookie: {self._cookie}\r\n\r\n".encode()


@contextlib.contextmanager
def serving(out: Path, slides: Path) -> Iterator[tuple[str, int]]:
    """Yield the link of a server of its own, its decoders started, and its process id."""
    command = [sys.executable, "-m", "wsi.cli", "review", str(out), "--slides", str(slides)]
    server = subprocess.Popen(
        [*command, "--no-browser", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert server.stdout is not None
        link = server.stdout.readline().strip()
        time.sleep(3)
        yield link, server.pid
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


def cpu_s(process: int) -> float:
    """Return the CPU seconds that a process and its children took so far; 0 where the system doesn't tell."""
    found, children = 0.0, Path(f"/proc/{process}/task/{process}/children")
    if children.exists():
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        found = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        found += sum(cpu_s(int(child)) for child in children.read_text().split())
    return found

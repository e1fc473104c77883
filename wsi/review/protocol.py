"""HTTP as the server speaks it: a connection whose request doesn't come is dropped, so that nobody can take them all."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0
"""The head of a request that isn't whole by then, from the connection or its first byte on, never will be."""


class PromptProtocol(H11Protocol):
    """uvicorn's protocol, which waits for the head of a request only so long."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        """Start the clock when no request is being answered; each further byte leaves it running."""
        if not getattr(self.cycle, "response_complete", True):  # there is none before the first request
            self._stop_waiting()
        elif self._head is None:
            self._head = self.loop.call_later(HEAD_S, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

"""Where the time of a slide went, by what was done and what was waited for."""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

WAITED = "encode: waiting for tiles"
"""The part that tells whether the decoder or the encoder is the slower."""


class Clock:
    """Wall seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Add the time that the block takes."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - started

    def waiting(self, name: str, source: Iterable[T]) -> Iterator[T]:
        """Yield what `source` yields, and add the time that it lets one wait."""
        going = iter(source)
        while True:
            with self.time(name):
                try:
                    one = next(going)
                except StopIteration:
                    return
            yield one

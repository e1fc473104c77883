"""An end to waiting: a disk or a decoder that doesn't answer is told to whoever asks."""

import contextlib
from collections.abc import Iterator

import anyio

from wsi.errors import TimeoutExceeded, WsiError
from wsi.review.refusal import Refused

ANSWER_S = 30.0
"""What takes longer, on a disk that hangs, is answered with the advice to try again."""


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """End what the block waits for after a while; Refused (503)."""
    try:
        with anyio.fail_after(ANSWER_S):
            yield
    except TimeoutError as error:
        if isinstance(error, WsiError):
            raise
        raise Refused(
            503,
            TimeoutExceeded.code,
            "The disk with the results or the slides doesn't answer.",
            next="Wait, then reload; if it stays so, look whether the disk is there.",
            wait_s=5,
        ) from error

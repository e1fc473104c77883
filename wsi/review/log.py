"""Decisions written down for good: appended under a kernel lock to a log whose lines hold each other by hashes.

A head file beside the log counts its lines and holds the hash of the last, so that lines cut off its end are missed.
A crash may leave half a line, which nobody was told is written, or a head one line behind; the next decision mends both.
"""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from wsi.config import Strict
from wsi.errors import ArtifactError, NoSpaceError
from wsi.publish import explained, flush_folder, publish, sha256_bytes
from wsi.results import HEAD, LOG, REVIEW, Decision, parse_decision, sealed

_BLOCK = 1 << 16


class Head(Strict):
    """decisions.head: log is the mark that its first line follows; count and sha256 tell of its last line."""

    log: str
    count: int
    sha256: str

    @property
    def last(self) -> str:
        """What the next line's `previous` must be."""
        return self.sha256 if self.count else self.log


def read_head(folder: Path) -> Head | None:
    """Return the head of the log in `folder`; None when there is none or it is damaged."""
    try:
        return Head.model_validate_json((folder / HEAD).read_bytes())
    except (OSError, ValidationError):
        return None


def append(out: Path, told: dict[str, Any], *, check: Callable[[], None] = lambda: None) -> Decision:
    """Write a decision down and return it with its place in the log; it is on the disk then.

    Args:
        told: all of a Decision but sequence, when, previous and sha256.
        check: called once nobody else may write; nothing is written when it raises.

    Raises:
        ArtifactError: the log was changed by something else, or can't be written; nothing was written.
        NoSpaceError: the disk is full; nothing was written.
    """
    folder = out / REVIEW
    try:
        folder.mkdir(exist_ok=True)
        with (folder / LOG).open("ab+") as file, held(file, fcntl.LOCK_EX):
            head = _settled(folder, file)
            check()
            when = datetime.now(UTC).isoformat(timespec="milliseconds")
            decision = sealed(**told, sequence=head.count + 1, when=when, previous=head.last)
            line = decision.line()
            _write(file, line + b"\n")
            _put(folder, Head(log=head.log, count=decision.sequence, sha256=sha256_bytes(line)))
            return decision
    except OSError as error:
        raise explained(error, Path(REVIEW, LOG)) from error


@contextlib.contextmanager
def held(file: BinaryIO, how: int) -> Iterator[None]:
    """Hold the log while the block runs; freed by the kernel even when the process is killed."""
    fcntl.flock(file.fileno(), how)
    try:
        yield
    finally:
        fcntl.flock(file.fileno(), fcntl.LOCK_UN)


def _settled(folder: Path, file: BinaryIO) -> Head:
    """Return the head as the log now is, half a line at its end cut off; ArtifactError when they don't agree."""
    head, (last, end, torn) = read_head(folder), _tail(file)
    if head is None:
        if last is not None or (folder / HEAD).exists():
            raise _changed()
        head = Head(log=secrets.token_hex(32), count=0, sha256="")
        publish(folder / HEAD, head.model_dump_json().encode())
    if (sha256_bytes(last) if last is not None else "") != head.sha256:
        after = parse_decision(last) if last is not None else None
        if after is None or (after.sequence, after.previous) != (head.count + 1, head.last):
            raise _changed()
        head = Head(log=head.log, count=after.sequence, sha256=sha256_bytes(after.line()))
        publish(folder / HEAD, head.model_dump_json().encode())  # never two lines behind, which nothing could mend
    if torn:
        os.ftruncate(file.fileno(), end)
    return head


def _tail(file: BinaryIO) -> tuple[bytes | None, int, bool]:
    """Return the last whole line (None: there is none), where it ends, and whether half a line follows it."""
    size = os.fstat(file.fileno()).st_size
    end = _after_break(file, size)
    if end == 0:
        return None, 0, size > 0
    start = _after_break(file, end - 1)
    return os.pread(file.fileno(), end - 1 - start, start), end, end < size


def _after_break(file: BinaryIO, before: int) -> int:
    """Return where the text after the last line break before byte `before` starts; 0 when there is no break."""
    at = before
    while at > 0:
        start = max(0, at - _BLOCK)
        found = os.pread(file.fileno(), at - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = start
    return 0


def _write(file: BinaryIO, line: bytes) -> None:
    """Add a line whole, or take away what of it was added."""
    end = os.fstat(file.fileno()).st_size
    try:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(file.fileno(), end)
        raise


def _put(folder: Path, head: Head) -> None:
    with contextlib.suppress(NoSpaceError):  # the decision is written; the head follows with the next one
        publish(folder / HEAD, head.model_dump_json().encode())
        flush_folder(folder)


def _changed() -> ArtifactError:
    return ArtifactError(
        "the log of decisions was changed by something else, so nothing is added to it; `wsi-run audit verify OUT` says where"
    )

"""One worker a slide: a kernel lock on the slide's folder itself, so no lock file is ever left behind."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from wsi.errors import LockedError

_BUSY = {errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN}


@contextlib.contextmanager
def lock(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold `folder` alone while the block runs; freed by the kernel even when the process is killed.

    Raises:
        LockedError: another process holds it and `wait` is False.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _take(descriptor, folder, wait)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, folder: Path, wait: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in _BUSY:
            raise LockedError(f"{folder.name}: another run works on it") from error
        raise

"""One process a folder: a kernel lock on the folder itself, so no lock file is left behind where there is a choice.

NFS locks files alone, so there a small file in the folder is locked. Where a file system has no locks at all (Lustre
without its `flock` option), work goes on without, and that is said once.
"""

import contextlib
import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from wsi.errors import LockedError

LOCK = ".lock"
"""The file that is locked where folders can't be."""
_BUSY = {errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN}
_FILES_ALONE = {errno.EBADF, errno.EINVAL, errno.EISDIR}
"""What NFS says of a lock on a folder, which it may only read."""
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}

_log = logging.getLogger(__name__)
_told: set[int] = set()


@contextlib.contextmanager
def lock(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold `folder` alone while the block runs; freed by the kernel even when the process is killed.

    Raises:
        LockedError: another process holds it and `wait` is False.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as opened:
        if not _take(_open(folder, os.O_RDONLY, opened), folder, wait):
            _take_file(folder, wait, opened)
        yield


def _open(path: Path, flags: int, opened: contextlib.ExitStack) -> int:
    descriptor = os.open(path, flags, 0o666)
    opened.callback(os.close, descriptor)
    return descriptor


def _take_file(folder: Path, wait: bool, opened: contextlib.ExitStack) -> None:
    """Lock the folder's file; the one that lies there now, should it have gone meanwhile."""
    while True:
        descriptor = _open(folder / LOCK, os.O_RDWR | os.O_CREAT, opened)
        if not _take(descriptor, folder, wait) or _is_there(descriptor, folder / LOCK):
            return


def _take(descriptor: int, folder: Path, wait: bool) -> bool:
    """Lock it and return whether it is held: False where such a thing can't be locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in _BUSY:
            raise LockedError(f"{folder.name}: another run works on it") from error
        if error.errno not in _FILES_ALONE | _NO_LOCKS:
            raise
        if error.errno in _NO_LOCKS:
            _tell(descriptor, folder, error)
        return False
    return True


def _is_there(descriptor: int, path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False


def _tell(descriptor: int, folder: Path, error: OSError) -> None:
    """Warn once a file system."""
    if (device := os.fstat(descriptor).st_dev) not in _told:
        _told.add(device)
        _log.warning("%s: its file system has no locks (%s); let one run at a time write there", folder, error.strerror)

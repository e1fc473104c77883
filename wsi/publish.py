"""Put a finished file in its place, whole or not at all.

Bytes go to a temporary file in the same folder, are flushed to the disk, read back and compared,
and only then renamed; the folder is flushed last. A reader never sees half a file, and a kill at
any moment leaves the old state or the new one.
"""

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from wsi.errors import ArtifactError, NoSpaceError, WsiError

TEMPORARY = ".tmp-"
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_FLUSH = {errno.EINVAL, errno.EBADF, errno.ENOTSUP}
"""What file systems that flush no folders say to it: AFS, shared folders of virtual machines, some network disks."""
_BLOCK = 1 << 20


def sha256_bytes(content: bytes) -> str:
    """Return the hex sha256 of `content`."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the hex sha256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def publish(path: Path, content: bytes) -> str:
    """Write `content` to `path` atomically and return its sha256.

    Raises:
        NoSpaceError: the disk is full; nothing was published.
        ArtifactError: what the disk gave back differs from what was written.
    """
    digest = sha256_bytes(content)
    with publishing(path) as part:
        part.write_bytes(content)
        if sha256_file(part) != digest:
            raise ArtifactError(f"{path}: the disk gave back other bytes than were written; check the disk")
    return digest


@contextlib.contextmanager
def publishing(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`; flush and rename it when the block ends without an error.

    For files too large to hold: the caller fills the temporary file by any means, and reads it back.
    """
    part = path.parent / f"{TEMPORARY}{os.urandom(8).hex()}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch(exist_ok=False)
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        raise explained(error, path) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut, where its file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FLUSH:
            raise
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove temporary files that a killed run left; only the holder of the folder's lock may call it."""
    for part in folder.glob(TEMPORARY + "*"):
        part.unlink(missing_ok=True)


def append_line(path: Path, line: str) -> None:
    """Append one line to a journal and flush it to the disk; a torn last line is cut off first."""
    try:
        with path.open("ab+") as file:
            _cut_torn_line(file.fileno())
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise explained(error, path) from error


def _cut_torn_line(descriptor: int) -> None:
    end = os.fstat(descriptor).st_size
    if end == 0 or os.pread(descriptor, 1, end - 1) == b"\n":
        return
    at = end
    while at > 0:
        start = max(0, at - _BLOCK)
        found = os.pread(descriptor, at - start, start).rfind(b"\n")
        if found >= 0:
            os.ftruncate(descriptor, start + found + 1)
            return
        at = start
    os.ftruncate(descriptor, 0)


def explained(error: OSError, path: Path) -> OSError:
    """Return the error of this tool that says what an OSError on `path` means."""
    if isinstance(error, WsiError):
        return error
    if error.errno in _NO_SPACE:
        return NoSpaceError(f"{path}: the disk is full; free some space and run the same command again")
    return ArtifactError(f"{path}: could not be written ({error.strerror or error})")

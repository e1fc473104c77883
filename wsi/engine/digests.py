"""sha256 of whole slides, remembered by the file's identity so that a rerun need not read terabytes.

The memory is a cache: it is keyed by size, inode and both times of the file (the change time can't be
set by a user), any fault in it means the file is read again, and nothing else depends on it.
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from wsi.publish import sha256_file
from wsi.resources import cache_folder


def slide_digest(files: tuple[Path, ...]) -> str:
    """Return one sha256 over the content of a slide's files, in the order of their names."""
    if len(files) == 1:
        return remembered_digest(files[0])
    whole = hashlib.sha256()
    for path in sorted(files):
        whole.update(f"{path.name} {remembered_digest(path)}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def identity(files: tuple[Path, ...]) -> tuple[tuple[int, ...], ...]:
    """Return what changes when a file is written, replaced or truncated."""
    return tuple((s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in (path.stat() for path in files))


def remembered_digest(path: Path) -> str:
    """Return the sha256 of a file, from the memory when the file is the one that was read then."""
    key = ":".join(map(str, identity((path,))[0]))
    with _memory() as memory:
        if memory and (row := memory.execute("SELECT digest FROM sha256 WHERE key = ?", (key,)).fetchone()):
            return str(row[0])
    digest = sha256_file(path)
    with _memory() as memory:
        if memory and ":".join(map(str, identity((path,))[0])) == key:
            memory.execute("INSERT OR REPLACE INTO sha256 VALUES (?, ?)", (key, digest))
            memory.commit()
    return digest


@contextlib.contextmanager
def _memory() -> Iterator[sqlite3.Connection | None]:
    """Yield the cache, or None where it can't be used (read-only home, network disk, damaged file)."""
    root, memory = cache_folder(), None
    try:
        root.mkdir(parents=True, exist_ok=True)
        memory = sqlite3.connect(root / "sha256.sqlite", timeout=5)
        memory.execute("CREATE TABLE IF NOT EXISTS sha256 (key TEXT PRIMARY KEY, digest TEXT)")
    except (OSError, sqlite3.Error):
        if memory:
            memory.close()
        memory = None
    try:
        with contextlib.suppress(sqlite3.Error):
            yield memory
    finally:
        if memory:
            memory.close()

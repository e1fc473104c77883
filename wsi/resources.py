"""Where the shipped models and recipes lie, inside the wheel or beside `wsi/` in a checkout; the user's folders; the cores; memory."""

import contextlib
import ctypes
import gc
import os
import sys
from pathlib import Path

_PACKAGE = Path(__file__).parent
QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""µs of CPU time that a container gets, and in how many µs."""
_ARENAS, _MAP_FROM, _TRIM_FROM, _PAD = -8, -3, -1, -2
_MALLOC = {_ARENAS: 1, _MAP_FROM: 32 << 20, _TRIM_FROM: 512 << 20, _PAD: 64 << 20}
"""By glibc's numbers of its parameters: arenas for threads, bytes of a piece that is mapped by itself, bytes at the end that
are given back, and bytes taken at once."""


def shipped(kind: str) -> Path:
    """Return the folder `kind` ("models" or "configs") of this installation."""
    inside = _PACKAGE / "_data" / kind
    return inside if inside.is_dir() else _PACKAGE.parent / kind


def home() -> Path:
    """Return the user's home folder; "/", as container tools have it, for a user whom the machine doesn't know."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")


def cores() -> int:
    """Return how many cores this process may use: those it is bound to, as by Slurm, and no more than its container has."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text().split()
        return min(bound, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no container, or "max": no limit
        return bound


def cache_folder() -> Path:
    """Return the folder of what can be made again: it may be deleted at any time, and may not be there."""
    return Path(os.environ.get("XDG_CACHE_HOME") or home() / ".cache") / "wsi-run"


def tune_process() -> None:
    """Spare this process, as it starts, work that networks and their modules would cause all the time.

    - Garbage is looked for after 10,000 new objects instead of some hundreds: loading modules makes many, and garbage of
      hardly any. It saves a sixth of the time that loading torch takes.
    - Memory that a layer gives back stays with the process, up to 512 MiB, instead of going to the system and coming back
      as empty pages for the next layer: a fifth of the time of a small network on a CPU, a twentieth of a large one's.
    """
    gc.set_threshold(10_000)
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # musl has no such call
            for parameter, value in _MALLOC.items():
                ctypes.CDLL(None).mallopt(parameter, value)

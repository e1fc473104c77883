"""Where the shipped models and recipes lie, inside the wheel or beside `wsi/` in a checkout; the user's folders; the cores."""

import ctypes
import gc
import os
from pathlib import Path

_PACKAGE = Path(__file__).parent
QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""µs of CPU time that a container gets, and in how many µs."""
_HOLDING = {-1: (1 << 31) - 1, -2: 64 << 20, -4: 0}
"""glibc's mallopt: M_TRIM_THRESHOLD and M_TOP_PAD in bytes, and M_MMAP_MAX, how many pieces lie apart."""


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


def collect_seldom() -> None:
    """Let this process, as it starts, look for garbage after 10,000 new objects instead of some hundreds.

    Loading modules makes many objects, and garbage of hardly any: it saves a sixth of the time that loading torch takes.
    """
    gc.set_threshold(10_000)


def hold_memory() -> None:
    """Let this process keep the memory that it frees for what it needs next, where the C library can be told so.

    A network on a CPU takes and frees megabytes layer by layer; memory that went back to the system in between comes again
    page by page, zeroed, which takes a tenth of the network's time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        for option, most in _HOLDING.items():
            mallopt(option, most)

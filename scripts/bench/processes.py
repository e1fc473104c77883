"""Run a command and measure it with all its children: CPU seconds, wall seconds, peak memory."""

import os
import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_S = 0.05


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU and wall in seconds, peak memory of the process and its children together in MB, and the exit status."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    status: int


def measure(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Cost:
    """Run a command to its end, in `folder`, and return what it cost; its standard output is dropped."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    peak = [0.0]
    done = threading.Event()
    sampler = threading.Thread(target=_sample, args=(process.pid, peak, done))
    sampler.start()
    _, errors = process.communicate()
    done.set()
    sampler.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if process.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(command)}: exit status {process.returncode}\n{errors.decode(errors='replace')}")
    return Cost(cpu_s, time.perf_counter() - started, peak[0], process.returncode)


def _sample(root: int, peak: list[float], done: threading.Event) -> None:
    while not done.wait(SAMPLE_S):
        peak[0] = max(peak[0], sum(_memory_mb(pid) for pid in _family(root)))


def _family(root: int) -> list[int]:
    """Return a process and all that come from it."""
    found = [root]
    for pid in found:
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def _memory_mb(pid: int) -> float:
    """Return a process's share of the memory in use; pages that several share are counted once in all."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except (OSError, IndexError, ValueError):
        pass
    return 0.0

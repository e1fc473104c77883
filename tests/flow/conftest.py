"""The command as a user runs it: in a process of its own, on slides in a folder."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.traps import environment, write_trap

LIMIT_S = 180
SIDE = 2000


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str


class Command:
    """`wsi-run` with a home folder of its own."""

    def __init__(self, home: Path) -> None:
        self.environment = environment(home)

    def start(
        self,
        *arguments: str | Path,
        prefix: Sequence[str] = (),
        more: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.Popen[str]:
        """Start it in a process group of its own."""
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", "wsi.cli", *map(str, arguments)],
            env={**self.environment, **(more or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __call__(
        self,
        *arguments: str | Path,
        prefix: Sequence[str] = (),
        more: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Ended:
        """Run it to its end; it may not hang."""
        process = self.start(*arguments, prefix=prefix, more=more, cwd=cwd)
        try:
            stdout, stderr = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        assert "Traceback" not in stderr, stderr
        return Ended(process.returncode, stdout, stderr)


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return Command(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three good slides, two of them of one name."""
    folder = tmp_path_factory.mktemp("slides")
    write_trap(folder / "a" / "1.svs", side=SIDE, seed=1)
    write_trap(folder / "b" / "1.svs", side=SIDE, seed=2)
    write_trap(folder / "c.svs", side=SIDE // 2, seed=3)
    return folder


@pytest.fixture(scope="session")
def timed(command: Command, slides: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """OUT of one uninterrupted run over `slides`, and its seconds."""
    out, started = tmp_path_factory.mktemp("clean") / "OUT", time.monotonic()
    ended = command(slides, "-o", out, "-q")
    assert ended.status == 0, ended.stdout + ended.stderr
    return out, time.monotonic() - started


@pytest.fixture(scope="session")
def clean(timed: tuple[Path, float]) -> Path:
    """OUT of one uninterrupted run over `slides`."""
    return timed[0]


@pytest.fixture(scope="session")
def tree() -> Callable[[Path], dict[str, str]]:
    """A function that returns the sha256 of every file below OUT, but for those that say where OUT lies."""
    return tree_of


PLACED = {"qupath/project.qpproj", "SHA256SUMS"}
"""QuPath's project says where it and the slides lie, so it and the list of hashes differ from one OUT to another."""


def tree_of(out: Path) -> dict[str, str]:
    files = sorted(path for path in out.rglob("*") if path.is_file() and path.relative_to(out).as_posix() not in PLACED)
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

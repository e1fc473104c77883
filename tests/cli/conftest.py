"""The command line in this process: fast, with everything but the signals."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from wsi.cli.main import _run


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str


Run = Callable[..., Ended]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """A function that runs `wsi-run` with some arguments."""

    def start(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["wsi-run", *map(str, arguments)])
        status = _run()
        told = capsys.readouterr()
        return Ended(status, told.out, told.err)

    return start

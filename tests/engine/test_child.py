"""A child may answer, refuse, die, hang or outgrow its memory; the parent always learns which."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.traps import environment
from wsi.engine.child import Child
from wsi.errors import CrashError, MemoryExceeded, ModalityError, TimeoutExceeded


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    monkeypatch.setenv("PYTHONPATH", environment(tmp_path)["PYTHONPATH"])
    made = Child("wsi_echo", memory_bytes=3 << 30)
    yield made
    made.stop()


def test_message_and_blobs_come_back(child: Child) -> None:
    child.send({"do": "echo", "text": "µ"}, b"abc", b"")
    message, blobs = child.receive(30)
    assert message == {"do": "echo", "text": "µ"}
    assert blobs == [b"cba", b""]


def test_error_of_this_tool_keeps_its_type_and_text(child: Child) -> None:
    child.send({"do": "refuse"})
    with pytest.raises(ModalityError, match="no brightfield here"):
        child.receive(30)
    child.send({"do": "echo"})
    assert child.receive(30)[0] == {"do": "echo"}


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL"])
def test_death_by_signal_is_told_by_its_name(child: Child, name: str) -> None:
    child.send({"do": "die", "signal": name})
    with pytest.raises(CrashError, match=name):
        child.receive(30)


@pytest.mark.parametrize("status", [0, 3])
def test_exit_is_a_crash_whatever_its_status(child: Child, status: int) -> None:
    child.send({"do": "exit", "status": status})
    with pytest.raises(CrashError, match=f"exit status {status}"):
        child.receive(30)


def test_hang_ends_at_the_deadline(child: Child) -> None:
    child.send({"do": "echo"})
    child.receive(30)
    child.send({"do": "hang"})
    started = time.monotonic()
    with pytest.raises(TimeoutExceeded):
        child.receive(0.5)
    assert time.monotonic() - started < 5
    assert not child.running


def test_sign_of_life_moves_the_deadline(child: Child) -> None:
    signs = iter(range(10**6))
    child.send({"do": "echo"})
    child.receive(30)
    child.send({"do": "hang"})
    until = time.monotonic() + 2.0
    with pytest.raises(TimeoutExceeded):
        child.receive(0.5, alive=lambda: next(signs) if time.monotonic() < until else -1)
    assert time.monotonic() >= until


def test_stopped_process_counts_as_hung(child: Child) -> None:
    child.send({"do": "die", "signal": "SIGSTOP"})
    with pytest.raises(TimeoutExceeded):
        child.receive(0.5)
    assert not child.running


def test_more_memory_than_allowed_is_refused_and_the_child_lives(child: Child) -> None:
    child.send({"do": "take", "bytes": 4 << 30})
    with pytest.raises(MemoryExceeded):
        child.receive(30)
    child.send({"do": "echo"})
    assert child.receive(30)[0] == {"do": "echo"}


def test_child_starts_again_after_its_death(child: Child) -> None:
    child.send({"do": "die", "signal": "SIGKILL"})
    with pytest.raises(CrashError):
        child.receive(30)
    child.send({"do": "echo"})
    assert child.receive(30)[0] == {"do": "echo"}


def test_child_ends_when_its_pipe_closes(child: Child) -> None:
    child.send({"do": "state"})
    pid = child.receive(30)[0]["pid"]
    child.stop(wait_s=30)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_folder_of_the_caller_is_not_imported_from(
    child: Child, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(tmp_path)
    child.send({"do": "echo"})
    assert child.receive(30)[0] == {"do": "echo"}

"""What each way of ending gives to the shell."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from tests.cli.conftest import Run
from tests.traps import CHECKOUT
from wsi import errors
from wsi.cli.main import RESUME, Commands, Stopped

Raising = Callable[[BaseException], None]


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Raising:
    """A function that lets `wsi-run verify` raise what it is given."""

    def plant(error: BaseException) -> None:
        def command() -> None:
            raise error

        monkeypatch.setattr(Commands, "get_command", lambda self, context, name: click.Command(name, callback=command))

    return plant


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.UsageError("x"), 2),
        (errors.ConfigError("x"), 2),
        (errors.ModelError("x"), 2),
        (errors.WeightsError("x"), 2),
        (errors.NoSpaceError("x"), 3),
        (errors.ArtifactError("x"), 3),
        (errors.LockedError("x"), 3),
        (errors.CrashError("x"), 3),
        (errors.UnreadableError("x"), 3),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
def test_error_ends_with_its_code_and_exit_status(
    error: errors.WsiError, status: int, raising: Raising, run: Run
) -> None:
    raising(error)
    ended = run("verify")
    assert (ended.status, ended.stdout, ended.stderr) == (status, "", f"wsi-run: {error.code}: x\n")


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), 130), (Stopped(signal.SIGTERM), 143), (Stopped(signal.SIGHUP), 129)]
)
def test_stopped_run_says_how_to_go_on(error: BaseException, status: int, raising: Raising, run: Run) -> None:
    raising(error)
    ended = run("verify")
    assert ended.status == status
    assert "run the same command again to go on" in ended.stderr


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_file_that_cannot_be_used_is_named_and_no_bug(code: int, raising: Raising, run: Run) -> None:
    raising(OSError(code, os.strerror(code), "OUT/results.jsonl"))
    ended = run("verify")
    assert ended.status == 3
    assert ended.stderr.startswith(f"wsi-run: E_ARTIFACT: OUT/results.jsonl: can't be used ({os.strerror(code)}); ")


def test_bug_shows_its_traceback(raising: Raising, run: Run) -> None:
    raising(ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        run("verify")


SLOW = """
import signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may run under nohup
from wsi.cli import main
import wsi.engine.doctor as doctor
def wait():
    print("waiting", flush=True)
    time.sleep(60)
doctor.examine = wait
sys.argv = ["wsi-run", "doctor"]
main()
"""


@contextlib.contextmanager
def waiting(code: str) -> Iterator[subprocess.Popen[str]]:
    """Yield a command that has begun and goes on for a minute."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        yield process


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signal_ends_the_command_at_once(number: signal.Signals, status: int) -> None:
    with waiting(SLOW) as process:
        process.send_signal(number)
        started = time.monotonic()
        _, told = process.communicate(timeout=30)
    assert process.returncode == status
    assert "go on" in told
    assert "Traceback" not in told
    assert time.monotonic() - started < 20


def test_hang_up_that_is_ignored_from_outside_stays_ignored() -> None:
    with waiting(SLOW.replace("SIG_DFL", "SIG_IGN")) as process:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_second_signal_changes_nothing(number: signal.Signals) -> None:
    code = SLOW.replace(
        "main()", "import atexit\natexit.register(lambda: (print('ending', flush=True), time.sleep(1)))\nmain()"
    )
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(number)
        assert process.stdout.readline() == "ending\n"
        for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(other)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert told == f"wsi-run: {RESUME}\n"


@pytest.mark.parametrize(
    ("redirected", "status"), [(">&-", 0), (">&- 2>&-", 0), ("<&- >&- 2>&-", 0), (">/dev/full", 3), ("2>/dev/full", 0)]
)
def test_streams_that_take_nothing_are_no_bug(redirected: str, status: int, tmp_path: Path) -> None:
    if "/dev/full" in redirected and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    command = f"exec {sys.executable} -m wsi.cli config init {redirected}"
    ended = subprocess.run(
        ["sh", "-c", command], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in ended.stderr
    assert ended.returncode == status


def test_bug_ends_with_1() -> None:
    code = SLOW.replace("time.sleep(60)", "raise ZeroDivisionError")
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "ZeroDivisionError" in ended.stderr


def test_reader_that_left_is_no_traceback() -> None:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-m", "wsi.cli", "config", "init"]
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(command, env=environment, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert ended.returncode == 3
    assert ended.stderr == ""


def test_verify_of_a_changed_folder_ends_with_3(run: Run, tmp_path: Path) -> None:
    from wsi.engine.finish import SUMS, render_sums

    (tmp_path / "predictions.csv").write_text("id\n")
    (tmp_path / SUMS).write_bytes(render_sums(tmp_path, []))
    assert run("verify", tmp_path).status == 0
    (tmp_path / "predictions.csv").write_text("iD\n")
    ended = run("verify", tmp_path)
    assert ended.status == 3
    assert "predictions.csv" in ended.stdout


def test_name_that_the_terminal_has_no_letters_for_is_spelled_out(tmp_path: Path) -> None:
    from wsi.engine.finish import SUMS, render_sums

    (tmp_path / SUMS).write_bytes(render_sums(tmp_path, []))
    (tmp_path / "\u017a.txt").write_text("new")
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONIOENCODING": "latin-1"}
    command = [sys.executable, "-m", "wsi.cli", "verify", str(tmp_path)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.stdout.splitlines()[0] == "not published by a finished run: \\u017a.txt"
    assert ended.returncode == 3

"""Files appear whole or not at all, whatever goes wrong on the way."""

import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.traps import CHECKOUT
from wsi import publish as room
from wsi.errors import ArtifactError, NoSpaceError
from wsi.publish import TEMPORARY, append_line, publish, publishing, sha256_file, sweep

OLD, NEW = b"old content", b"new content, longer"


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(TEMPORARY)]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "result.json"
    path.write_bytes(OLD)
    return path


def test_published_bytes_are_there_with_their_hash(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "x.bin"
    assert publish(path, NEW) == hashlib.sha256(NEW).hexdigest()
    assert path.read_bytes() == NEW
    assert leftovers(path.parent) == []


def test_sha256_is_that_of_the_standard(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert sha256_file(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_full_disk_leaves_the_old_file(number: int, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoSpaceError, match=r"result\.json: the disk is full") as caught:
        publish(target, NEW)
    assert caught.value.code == "E_NOSPACE"
    assert target.read_bytes() == OLD
    assert leftovers(target.parent) == []


def test_real_limit_on_file_size_is_a_full_disk(target: Path) -> None:
    code = f"""
import resource, signal
from pathlib import Path
from wsi.publish import publish
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
publish(Path({str(target)!r}), bytes(65537))
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "NoSpaceError" in ended.stderr, ended.stderr
    assert target.read_bytes() == OLD
    assert leftovers(target.parent) == []


def test_other_disk_errors_name_the_file(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(ArtifactError, match=r"result\.json: could not be written \(Input/output error\)"):
        publish(target, NEW)
    assert target.read_bytes() == OLD


def test_bytes_that_the_disk_changed_are_not_published(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "sha256_file", lambda path: "0" * 64)
    with pytest.raises(ArtifactError, match="gave back other bytes"):
        publish(target, NEW)
    assert target.read_bytes() == OLD
    assert leftovers(target.parent) == []


def test_error_while_filling_leaves_the_old_file(target: Path) -> None:
    def fill() -> None:
        with publishing(target) as part:
            part.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fill()
    assert target.read_bytes() == OLD
    assert leftovers(target.parent) == []


@pytest.mark.parametrize("step", ["write", "fsync", "replace", "flush"])
def test_kill_at_any_step_leaves_the_old_file_or_the_new(step: str, target: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from wsi import publish as room
def die(*given, **more): os.kill(os.getpid(), signal.SIGKILL)
step = {step!r}
if step == "write": room.sha256_file = die
if step == "fsync": os.fsync = die
if step == "replace": Path.replace = die
if step == "flush": room.flush_folder = die
room.publish(Path({str(target)!r}), {NEW!r})
"""
    ended = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert target.read_bytes() == (NEW if step == "flush" else OLD)
    assert len(leftovers(target.parent)) == (0 if step == "flush" else 1)
    sweep(target.parent)
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_content_is_on_disk_before_its_name_is(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    flush, replace = os.fsync, Path.replace

    def note_flush(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        flush(descriptor)

    def note_replace(path: Path, onto: Path) -> Path:
        steps.append("rename")
        return replace(path, onto)

    monkeypatch.setattr(os, "fsync", note_flush)
    monkeypatch.setattr(Path, "replace", note_replace)
    publish(target, NEW)
    assert steps == ["file", "rename", "folder"]


def test_file_system_that_flushes_no_folders_holds_results(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux says EINVAL where a file system has no way to do it, as /proc."""
    flush = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    publish(target, NEW)
    assert target.read_bytes() == NEW


@pytest.mark.parametrize("torn", ["", "to", "torn line without an end", "x" * 3_000_000])
def test_torn_last_line_is_cut_off(torn: str, tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text("first\nsecond\n" + torn)
    append_line(path, "third")
    assert path.read_text() == "first\nsecond\nthird\n"


def test_journal_of_one_torn_line_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text("torn")
    append_line(path, "first")
    assert path.read_text() == "first\n"


def test_journal_on_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoSpaceError):
        append_line(tmp_path / "results.jsonl", "line")


def test_folder_that_cant_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="could not be written"):
        publish(tmp_path / "file" / "inside.json", NEW)

"""One process a folder, whatever the file system lets lock."""

import errno
import fcntl
import logging
import os
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from wsi import locks
from wsi.errors import LockedError
from wsi.locks import LOCK, lock

Refuse = Callable[..., None]
plain = fcntl.flock


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """Let locks fail as on other file systems: on folders, or on files too."""
    monkeypatch.setattr(locks, "_told", set())

    def set_up(code: int, *, files: bool = False) -> None:
        def flock(descriptor: int, how: int) -> None:
            if files or stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise OSError(code, os.strerror(code))
            plain(descriptor, how)

        monkeypatch.setattr(fcntl, "flock", flock)

    return set_up


def elsewhere(folder: Path, before: str = "") -> str:
    """Return what another process finds when it wants the folder."""
    script = f"""
    from pathlib import Path
    from wsi.errors import LockedError
    from wsi.locks import lock
    {before}
    try:
        with lock(Path({str(folder)!r})):
            print("held")
    except LockedError:
        print("busy")
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


NFS = "import errno, fcntl, os, stat; plain = fcntl.flock; fcntl.flock = lambda d, h: plain(d, h) if not stat.S_ISDIR(os.fstat(d).st_mode) else (_ for _ in ()).throw(OSError(errno.EBADF, 'bad'))"  # fmt: skip


def test_folder_is_held_by_one_and_no_file_stays(tmp_path: Path) -> None:
    with lock(tmp_path / "a"):
        assert elsewhere(tmp_path / "a") == "busy"
    assert elsewhere(tmp_path / "a") == "held"
    assert list((tmp_path / "a").iterdir()) == []


def test_where_folders_have_no_locks_a_file_is_held(tmp_path: Path, refuse: Refuse) -> None:
    refuse(errno.EBADF)
    with lock(tmp_path):
        assert elsewhere(tmp_path, NFS) == "busy"
        assert (tmp_path / LOCK).is_file()
    assert elsewhere(tmp_path, NFS) == "held"


def test_lock_file_that_went_meanwhile_is_made_again(
    tmp_path: Path, refuse: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(errno.EBADF)
    found = fcntl.flock

    def flock(descriptor: int, how: int) -> None:
        found(descriptor, how)
        monkeypatch.setattr(fcntl, "flock", found)
        (tmp_path / LOCK).unlink()  # another run cleared the folder away

    refuse(errno.EBADF)
    found = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", flock)
    with lock(tmp_path):
        assert elsewhere(tmp_path, NFS) == "busy"


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_nothing_has_locks_work_goes_on_and_that_is_said_once(
    tmp_path: Path, refuse: Refuse, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    refuse(code, files=True)
    with caplog.at_level(logging.WARNING), lock(tmp_path / "a"), lock(tmp_path / "b"):
        pass
    assert [record.getMessage().count("has no locks") for record in caplog.records] == [1]


def test_other_faults_are_told(tmp_path: Path, refuse: Refuse) -> None:
    refuse(errno.EIO)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)), lock(tmp_path):
        pass


def test_no_descriptor_stays_open(tmp_path: Path, refuse: Refuse) -> None:
    refuse(errno.EBADF)
    free = os.dup(0)  # the lowest number that is free
    os.close(free)
    for _ in range(3):
        with lock(tmp_path), pytest.raises(LockedError), lock(tmp_path):
            pass
    again = os.dup(0)
    os.close(again)
    assert again == free

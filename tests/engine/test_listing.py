"""Which files of OUT a run answers for."""

import errno
from pathlib import Path

import pytest

from wsi.engine import finish, verify
from wsi.engine.finish import is_listed
from wsi.publish import sha256_file


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("report.html", True),
        ("slides/evaluation/result.json", True),
        ("evaluation/report.html", False),
        ("SHA256SUMS", False),
        ("slides/a/.tmp-1234", False),
        ("slides/a/mask.seg.dcm", False),
    ],
)
def test_evaluation_and_passing_files_are_not_of_the_run(name: str, listed: bool) -> None:
    assert is_listed(Path("OUT", name), Path("OUT")) is listed


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a good file and one of which the disk gives back nothing."""
    for name in ("good.txt", "bad.txt"):
        (tmp_path / name).write_text(name)
    (tmp_path / finish.SUMS).write_bytes(finish.render_sums(tmp_path, []))

    def read(path: Path) -> str:
        if path.name == "bad.txt":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return sha256_file(path)

    for room in (finish, verify):
        monkeypatch.setattr(room, "sha256_file" if room is verify else "remembered_digest", read)
    return tmp_path


def test_file_that_cannot_be_read_is_named(broken: Path) -> None:
    assert verify.verify_out(broken) == (2, [verify.Finding("bad.txt", "can't be read (Input/output error)")])


def test_file_that_cannot_be_read_is_not_vouched_for(broken: Path) -> None:
    assert b"good.txt" in finish.render_sums(broken, [])
    assert b"bad.txt" not in finish.render_sums(broken, [])

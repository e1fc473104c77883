"""The log of decisions: what was done to it is found and named by line; any number of writers, no fork."""

import errno
import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wsi.errors import ArtifactError, NoSpaceError
from wsi.publish import sha256_bytes
from wsi.results import Decision, read_decisions, sealed
from wsi.review import log
from wsi.review.audit import Fault, verify_log

SLIDES = ("a-1-11111111", "b-2-22222222")
Lines = list[bytes]


def told(number: int = 0, **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "who": "A. Miller",
        "slide": SLIDES[number % 2],
        "slide_sha256": "ab" * 32,
        "model_sha256": "cd" * 32,
        "stage": "final",
        "verdict": "agree",
        "grade": None,
        "reason": "",
        "comment": f"number {number}",
        "shapes": {"type": "FeatureCollection", "features": []},
    }
    return {**given, **changes}


def make_log(out: Path, lines: int = 6) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    for number in range(lines):
        log.append(out, told(number))
    return out


def fault(out: Path) -> Fault | None:
    return verify_log(out, SLIDES).fault


def path_of(out: Path) -> Path:
    return out / "review" / "decisions.jsonl"


def test_log_as_written_has_no_fault(tmp_path: Path) -> None:
    audit = verify_log(make_log(tmp_path), SLIDES)
    assert (audit.count, audit.fault) == (6, None)
    assert audit.head == sha256_bytes(path_of(tmp_path).read_bytes().splitlines()[-1])
    assert [one.sequence for one in read_decisions(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_no_decisions_yet_is_no_fault(tmp_path: Path) -> None:
    assert verify_log(tmp_path, SLIDES) == verify_log(make_log(tmp_path, 0), SLIDES)
    assert fault(tmp_path) is None


def test_log_that_cant_be_read_is_told_with_the_next_step(tmp_path: Path) -> None:
    path_of(tmp_path).mkdir(parents=True)
    with pytest.raises(
        ArtifactError, match=r"decisions.jsonl: can't be read \(Is a directory\); let whoever may read it"
    ):
        verify_log(tmp_path, SLIDES)


def edited(lines: Lines) -> Lines:
    return [*lines[:2], lines[2].replace(b"agree", b"unsure"), *lines[3:]]


def edited_by_one_blank(lines: Lines) -> Lines:
    return [*lines[:2], lines[2].replace(b'","', b'", "', 1), *lines[3:]]


def edited_and_hashed_anew(lines: Lines) -> Lines:
    return [*lines[:2], remade(lines[2], grade="Benign"), *lines[3:]]


def last_edited_and_hashed_anew(lines: Lines) -> Lines:
    return [*lines[:-1], remade(lines[-1], grade="Benign")]


def all_made_anew_from_the_third(lines: Lines) -> Lines:
    made = lines[:2]
    for line in lines[2:]:
        made.append(remade(line, comment="another", previous=sha256_bytes(made[-1])))
    return made


def inserted(lines: Lines) -> Lines:
    return [*lines[:3], remade(lines[1], comment="slipped in"), *lines[3:]]


def inserted_to_fit(lines: Lines) -> Lines:
    fitting = remade(lines[1], sequence=4, previous=sha256_bytes(lines[2]))
    return [*lines[:3], fitting, *lines[3:]]


def remade(line: bytes, **changes: Any) -> bytes:
    """Return an edited line with its own hash right."""
    told = {**json.loads(line), **changes}
    told.pop("sha256")
    return sealed(**told).line()


@pytest.mark.parametrize(
    ("tamper", "line", "word"),
    [
        (edited, 3, "edited"),
        (edited_by_one_blank, 3, "edited"),
        (edited_and_hashed_anew, 4, "the line before was edited"),
        (last_edited_and_hashed_anew, 6, "edited and its hash made anew"),
        (all_made_anew_from_the_third, 6, "edited and its hash made anew"),
        (lambda lines: lines[:2] + lines[3:], 3, "deleted: line 4 stands in its place"),
        (lambda lines: lines[1:], 1, "deleted: line 2 stands in its place"),
        (lambda lines: lines[:-1], 6, "deleted: the head counts 6 lines, found 5"),
        (lambda lines: lines[:-3], 4, "deleted: the head counts 6 lines, found 3"),
        (lambda lines: [], 1, "deleted: the head counts 6 lines, found 0"),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], 3, "swapped: written as line 4"),
        (lambda lines: [lines[-1], *lines[1:-1], lines[0]], 1, "swapped: written as line 6"),
        (inserted, 4, "written as line 2"),
        (inserted_to_fit, 5, "written as line 4: one was inserted before it"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], 4, "line 3 once more: duplicated"),
        (lambda lines: [*lines, lines[-1]], 7, "line 6 once more: duplicated"),
        (lambda lines: [*lines[:4], b"{}", *lines[4:]], 5, "edited"),
        (lambda lines: [*lines[:4], b"", *lines[4:]], 5, "edited"),
    ],
)  # fmt: skip
def test_tampering_is_found_and_its_line_named(
    tamper: Callable[[Lines], Lines], line: int, word: str, tmp_path: Path
) -> None:
    path = path_of(make_log(tmp_path))
    lines = tamper(path.read_bytes().splitlines())
    path.write_bytes(b"".join(one + b"\n" for one in lines))
    found = fault(tmp_path)
    assert found is not None
    assert (found.line, word in found.what) == (line, True), found


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_line_cut_off_half_way_is_found(cut: int, tmp_path: Path) -> None:
    path = path_of(make_log(tmp_path))
    path.write_bytes(path.read_bytes()[:-cut])
    found = fault(tmp_path)
    assert found == Fault(6, "only half of it is there: cut off")
    with pytest.raises(ArtifactError, match="changed by something else"):
        log.append(tmp_path, told())


def test_log_of_another_run_is_found(tmp_path: Path) -> None:
    mine, other = make_log(tmp_path / "mine"), make_log(tmp_path / "other", 6)
    kept = path_of(mine).read_bytes()
    path_of(mine).write_bytes(path_of(other).read_bytes())
    found = fault(mine)
    assert found == Fault(1, "of another log: it doesn't start from this log's mark")
    path_of(mine).write_bytes(kept.splitlines(keepends=True)[0] + path_of(other).read_bytes().split(b"\n", 1)[1])
    found = fault(mine)
    assert found is not None
    assert (found.line, "of another log" in found.what) == (2, True)
    assert verify_log(other, ["another-slide-99999999"]).fault == Fault(
        1, "of another run: none of the slides of this log is in these results"
    )


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[", b'{"log":"x","count":-1,"sha256":""}'])
def test_lost_or_damaged_head_is_found_and_nothing_is_added(content: bytes | None, tmp_path: Path) -> None:
    head = make_log(tmp_path) / "review" / "decisions.head"
    head.unlink()
    if content is not None:
        head.write_bytes(content)
    assert fault(tmp_path) is not None
    before = path_of(tmp_path).read_bytes()
    with pytest.raises(ArtifactError):
        log.append(tmp_path, told())
    assert path_of(tmp_path).read_bytes() == before


def test_log_and_head_made_anew_are_found_by_a_noted_hash(tmp_path: Path) -> None:
    noted = verify_log(make_log(tmp_path), SLIDES).head
    log.append(tmp_path, told(9))
    assert verify_log(tmp_path, SLIDES, noted=noted).fault is None
    for name in ("decisions.jsonl", "decisions.head"):
        (tmp_path / "review" / name).unlink()
    make_log(tmp_path)
    assert fault(tmp_path) is None
    found = verify_log(tmp_path, SLIDES, noted=noted).fault
    assert found is not None
    assert "made anew" in found.what


def test_half_a_line_of_a_killed_writer_is_told_and_mended_by_the_next(tmp_path: Path) -> None:
    path = path_of(make_log(tmp_path))
    with path.open("ab") as file:
        file.write(b'{"comment":"half of')
    found = fault(tmp_path)
    assert found is not None
    assert (found.line, "nobody was told" in found.what) == (7, True)
    assert log.append(tmp_path, told(6)).sequence == 7
    assert fault(tmp_path) is None


def test_head_one_line_behind_after_a_kill_is_brought_up(tmp_path: Path) -> None:
    head = make_log(tmp_path) / "review" / "decisions.head"
    before = head.read_bytes()
    log.append(tmp_path, told(6))
    head.write_bytes(before)
    assert fault(tmp_path) is None
    assert log.append(tmp_path, told(7)).sequence == 8
    assert fault(tmp_path) is None


def test_full_disk_leaves_the_log_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path_of(make_log(tmp_path)).read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(NoSpaceError):
            log.append(tmp_path, told())
    assert path_of(tmp_path).read_bytes() == before
    assert log.append(tmp_path, told()).sequence == 7
    assert fault(tmp_path) is None


def test_disk_that_stays_full_never_leaves_the_head_two_lines_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> str:
        raise NoSpaceError(f"{path}: the disk is full")

    make_log(tmp_path)
    with monkeypatch.context() as patched:  # a line still fits into the log's last block, a new head doesn't
        patched.setattr(log, "publish", full)
        assert log.append(tmp_path, told(6)).sequence == 7
        with pytest.raises(NoSpaceError):
            log.append(tmp_path, told(7))
    assert log.append(tmp_path, told(7)).sequence == 8
    assert fault(tmp_path) is None


def _write(out: Path, number: int, count: int) -> None:
    for i in range(count):
        log.append(out, told(i, who=f"writer {number}"))


def _watch(out: Path, stop: Any, faults: Any) -> None:
    while not stop.is_set():
        found = fault(out)
        if found is not None:
            faults.put(str(found))
            return


def test_four_writers_at_once_fork_nothing_while_a_reader_verifies(tmp_path: Path) -> None:
    make_log(tmp_path, 1)
    context = multiprocessing.get_context("spawn")
    stop, faults = context.Event(), context.Queue()
    watcher = context.Process(target=_watch, args=(tmp_path, stop, faults))
    writers = [context.Process(target=_write, args=(tmp_path, number, 15)) for number in range(4)]
    for process in (watcher, *writers):
        process.start()
    for process in writers:
        process.join(60)
    stop.set()
    watcher.join(60)
    assert [process.exitcode for process in (watcher, *writers)] == [0] * 5
    assert faults.empty()
    audit = verify_log(tmp_path, SLIDES)
    assert (audit.count, audit.fault) == (61, None)
    for number in range(4):
        own = [one.comment for one in read_decisions(tmp_path) if one.who == f"writer {number}"]
        assert own == [f"number {i}" for i in range(15)]


def test_line_is_read_back_as_it_was(tmp_path: Path) -> None:
    made = log.append(tmp_path, told(0, comment="µm “quoted” \n second line \u2028"))
    line = path_of(tmp_path).read_bytes().removesuffix(b"\n")
    assert line == made.line()
    assert b"\n" not in line
    assert read_decisions(tmp_path) == [made]
    assert Decision.model_validate_json(line).digest() == made.sha256

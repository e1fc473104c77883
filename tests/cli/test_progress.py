"""What is told while slides are worked on, and when they are through."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.traps import write_trap
from wsi.cli import progress
from wsi.cli.over_slides import slide_bytes
from wsi.cli.progress import Bar, Profile, Quiet
from wsi.engine.run import Progress, Spent
from wsi.read import find_slides
from wsi.results import Record


def test_profile_adds_up_slides_and_says_what_the_encoder_waited_for() -> None:
    profile = Profile(Quiet())
    for seconds in (
        {"hash": 1.0, "encode": 9.0, "encode: loading the network": 5.0, "encode: waiting for tiles": 1.0},
        {"hash": 1.0, "encode": 4.0, "encode: waiting for tiles": 1.0},
    ):
        profile.watch(Spent("a", seconds))
    lines = profile.lines()
    assert any(line.startswith("checking") and "2.00" in line and "13.3%" in line for line in lines)
    assert any(line.startswith("encoding") and "13.00" in line and "86.7%" in line for line in lines)
    assert any(line.startswith("  waiting for tiles") and "2.00" in line for line in lines)
    assert lines[-1] == "The encoder waited for tiles 25.0% of its time."


def test_slide_that_goes_before_the_run_begins_is_the_runs_to_tell_of(tmp_path: Path) -> None:
    for name in ("a.svs", "b.svs"):
        write_trap(tmp_path / name)
    (tmp_path / "c.svs").symlink_to("nowhere")
    found = find_slides(tmp_path)
    (tmp_path / "b.svs").unlink()
    assert list(slide_bytes(found).values()) == [(tmp_path / "a.svs").stat().st_size, 0, 0]


def test_profile_of_slides_that_were_encoded_before_tells_the_rest() -> None:
    profile = Profile(Quiet())
    profile.watch(Spent("a", {"hash": 1.0, "predict": 3.0, "encode: waiting for tiles": 0.5}))  # for the top tiles
    assert [line.split()[0] for line in profile.lines()] == ["stage", "checking", "grading"]


class Terminal(io.StringIO):
    """What is drawn on a terminal."""

    def isatty(self) -> bool:
        return True


def test_slides_of_an_earlier_run_do_not_shorten_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, terminal = [0.0], Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    bar = Bar(dict.fromkeys("abcd", 1000))
    for slide, stages in (("a", ["hash"]), ("b", ["hash"]), ("c", ["hash", "tissue"])):
        for stage in stages:
            clock[0] += 5
            bar.watch(Progress(slide, stage, 0, 0))
        bar.watch(Record(slide=slide, path=slide, status="ok"))
    clock[0] += 5
    bar.watch(Progress("d", "hash", 0, 0))
    assert terminal.getvalue().rpartition("[")[2].strip() == "3/4] d checking  25 s left"

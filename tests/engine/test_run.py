"""A run whose workers die, whose slides come and go, and beside which others work on the same folder."""

import os
import sys
from multiprocessing.connection import wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from tests.traps import write_trap
from wsi.cli.main import _run
from wsi.config import Config, EngineConfig
from wsi.engine import journal, run
from wsi.engine.book import Book, Entry, Refusal, write_book
from wsi.engine.child import Child, Message
from wsi.engine.finish import RUN, put, render_run
from wsi.engine.recipe import Recipe
from wsi.engine.run import export_slides, open_out, run_slides
from wsi.errors import ArtifactError, CrashError, LockedError
from wsi.locks import lock
from wsi.read import Rejected, SlideFile, find_slides
from wsi.results import LOG, REVIEW, Record

RECIPE = Recipe(until="tissue", config=Config(engine=EngineConfig(jobs=1)))
Found = list[SlideFile | Rejected]


class Worker:
    """A worker process in name only: it finds every slide ok, but dies of those whose name begins with `deadly`, and of
    `held` finds twice that another run works on it.
    """

    def __init__(self, module: str) -> None:
        self.running = False
        self._out = Path()
        self._read, self._write = os.pipe()
        self._told: list[dict[str, Any]] = []
        self._held = 2

    def fileno(self) -> int:
        return self._read

    def send(self, message: Message) -> None:
        self.running = True
        if message["do"] == "start":
            self._out = Path(message["out"])
            return
        slide, path = message["task"]["slide"], message["task"]["relative"]
        if path.startswith("deadly"):
            self.running = False
            raise CrashError("the process died of SIGKILL")
        (self._out / "slides" / slide).mkdir(exist_ok=True)
        self._told.append(Record(slide=slide, path=path, status="ok").model_dump())
        os.write(self._write, b"x")

    def receive(self, timeout_s: float) -> tuple[Message, list[bytes]]:
        os.read(self._read, 1)
        record = self._told.pop(0)
        if record["path"].startswith("held") and self._held:
            self._held -= 1
            raise LockedError("another run works on it")
        return {"record": record, "seconds": {}}, []

    def stop(self, *, wait_s: float = 0.0) -> None:
        if self._read >= 0:
            os.close(self._read)
            os.close(self._write)
        self.running, self._read = False, -1


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "OUT"


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "Child", Worker)


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that pass, of no real time, in each of the next rounds in which no worker says anything."""
    seconds, clock = list[float](), [0.0]

    def listen(workers: list[int], timeout: float) -> list[Any]:
        if not seconds:
            return wait(workers, timeout)
        clock[0] += seconds.pop(0)
        return []

    monkeypatch.setattr(run, "wait", listen)
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    return seconds


def unseen(event: object) -> None:
    """Watch nothing."""


def slides(folder: Path, *names: str) -> Found:
    for name in names:
        write_trap(folder / name)
    return find_slides(folder)


def start(found: Found, out: Path) -> dict[str, str]:
    """Run and return what was told of each slide: its status, or its code where it isn't ok."""
    return told(run_slides(found, out, RECIPE, table=None, watch=unseen))


def told(records: list[Record]) -> dict[str, str]:
    return {record.path: record.code or record.status for record in records}


def kept(out: Path) -> dict[str, str]:
    """Return what OUT says of each slide when the run is over."""
    return told(list(journal.read(out).values()))


def test_run_that_cannot_read_the_decisions_does_nothing(tmp_path: Path) -> None:
    journal.append(tmp_path, Record(slide="a-1", path="a.svs", status="ok"))
    (tmp_path / REVIEW / LOG).mkdir(parents=True)
    before = (tmp_path / journal.JOURNAL).read_bytes()
    for begin in (
        lambda: run_slides([], tmp_path, RECIPE, table=None, watch=unseen),
        lambda: export_slides(tmp_path, RECIPE, watch=unseen),
    ):
        with pytest.raises(ArtifactError, match=r"decisions\.jsonl: the decisions so far can't be read .*again"):
            begin()
    assert (tmp_path / journal.JOURNAL).read_bytes() == before
    assert not (tmp_path / "predictions.csv").exists()


@pytest.mark.usefixtures("worker")
def test_worker_that_dies_while_it_is_given_a_slide_costs_that_slide(tmp_path: Path, out: Path) -> None:
    found = slides(tmp_path / "slides", "a.svs", "deadly.svs", "deadly2.svs", "z.svs")
    assert start(found, out) == {"a.svs": "ok", "deadly.svs": "E_CRASH", "deadly2.svs": "E_CRASH", "z.svs": "ok"}


def test_slide_whose_worker_never_started_is_in_the_results(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "Child", lambda module: Child("wsi.engine.nowhere"))
    assert start(slides(tmp_path / "slides", "a.svs"), out) == {"a.svs": "E_CRASH"}
    assert kept(out) == {"a.svs": "E_CRASH"}
    assert "a.svs,failed,E_CRASH" in (out / "predictions.csv").read_text()


@pytest.mark.usefixtures("worker")
def test_slide_behind_a_link_that_led_nowhere_takes_the_place_of_its_refusal(tmp_path: Path, out: Path) -> None:
    """As git-annex leaves what isn't fetched yet, or links into a folder that isn't mounted."""
    folder, store = tmp_path / "slides", tmp_path / "store"
    folder.mkdir()
    (folder / "1.svs").symlink_to(store / "1.svs")
    assert start(find_slides(folder), out) == {"1.svs": "E_UNREADABLE"}
    write_trap(store / "1.svs")
    assert start(find_slides(folder), out) == {"1.svs": "ok"}
    assert [record.status for record in journal.read(out).values()] == ["ok"]


@pytest.mark.usefixtures("worker")
def test_run_leaves_what_a_later_one_made_of_a_slide_that_was_replaced_meanwhile(tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "slides"
    found, later = slides(folder, "a.svs", "b.svs"), list[Found]()

    def replace(event: object) -> None:
        if isinstance(event, Record) and event.path == "a.svs" and not later:
            write_trap(folder / "a.svs", seed=1)
            later.append(find_slides(folder))
            start(later[0], out)

    run_slides(found, out, RECIPE, table=None, watch=replace)
    assert later[0][0].id in journal.read(out)
    assert start(later[0], out) == {"a.svs": "ok", "b.svs": "ok"}
    assert set(journal.read(out)) == {slide.id for slide in later[0]}


@pytest.mark.usefixtures("worker")
def test_slide_that_another_run_failed_on_meanwhile_is_told_again(tmp_path: Path, out: Path) -> None:
    found = slides(tmp_path / "slides", "a.svs", "b.svs")
    start(found, out)
    before = (out / journal.JOURNAL).stat().st_mtime_ns
    assert start(found, out) == {"a.svs": "ok", "b.svs": "ok"}
    assert (out / journal.JOURNAL).stat().st_mtime_ns == before

    def fail(event: object) -> None:
        if isinstance(event, Record) and event.path == "a.svs":
            journal.append(out, Record(slide=found[1].id, path="b.svs", status="failed", code="E_CRASH"))

    records = run_slides(found, out, RECIPE, table=None, watch=fail)
    assert told(records) == kept(out) == {"a.svs": "ok", "b.svs": "ok"}


@pytest.mark.usefixtures("worker")
def test_worker_is_lost_by_its_own_silence_and_not_when_the_whole_run_was_suspended(
    tmp_path: Path, out: Path, rounds: list[float]
) -> None:
    found, silent_s = slides(tmp_path / "slides", "a.svs"), run.SILENT * RECIPE.config.engine.stall_s
    rounds += [9 * 3600.0]
    assert start(found, out) == {"a.svs": "ok"}
    rounds += [run.LOOK_S] * round(silent_s / run.LOOK_S + 1)
    assert start(found, out) == {"a.svs": "E_TIMEOUT"}


def refused(out: Path, *names: str) -> None:
    """Let OUT hold slides that were refused, which an export goes over without making files of them."""
    for name in names:
        folder, refusal = out / "slides" / name, Refusal(code="E_FORMAT", reason="none")
        write_book(folder, Book(slide=name, path=name, stages={"tissue": Entry(key="k", refusal=refusal)}))
        journal.append(out, Record(slide=name, path=name, status="refused", code="E_FORMAT", reason="none"))


def test_export_tells_of_every_slide_and_leaves_one_to_the_run_that_works_on_it(out: Path) -> None:
    refused(out, "a", "b", "c")
    journal.append(out, Record(slide="d", path="d", status="failed", code="E_CRASH"))
    events = list[object]()
    with lock(out / "slides" / "b"):
        records = export_slides(out, RECIPE, watch=events.append)
    assert told([event for event in events if isinstance(event, Record)]) == told(records)
    assert told(records) == {"a": "E_FORMAT", "b": "E_FORMAT", "c": "E_FORMAT", "d": "E_CRASH"}
    assert (out / "predictions.csv").is_file()


def test_export_counts_the_slides_to_come(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(out, "a", "b")
    put(out / RUN, render_run(RECIPE))
    monkeypatch.setattr(sys, "argv", ["wsi-run", "export", str(out)])
    assert _run() == 3
    assert [line.split("]")[0] for line in capsys.readouterr().err.splitlines()] == ["[1/2", "[2/2"]


def test_results_that_a_run_has_just_begun_are_no_slides_of_another(tmp_path: Path, out: Path) -> None:
    write_trap(tmp_path / "a.svs")
    open_out(out)
    (out / "slides" / "a-1").mkdir()
    Image.new("RGB", (64, 64)).save(out / "slides" / "a-1" / "thumbnail.jpg")
    assert [slide.relative for slide in find_slides(tmp_path, skip=tmp_path / "OUT2")] == ["a.svs"]


@pytest.mark.usefixtures("worker")
def test_slide_that_a_link_led_to_is_replaced_by_the_one_that_it_leads_to_now(tmp_path: Path, out: Path) -> None:
    folder, store = tmp_path / "slides", tmp_path / "store"
    folder.mkdir()
    for seed in range(2):
        (folder / "1.svs").unlink(missing_ok=True)
        (folder / "1.svs").symlink_to(write_trap(store / f"{seed}.svs", seed=seed))
        found = find_slides(folder)
        start(found, out)
        assert list(journal.read(out)) == [found[0].id]


@pytest.mark.usefixtures("worker")
def test_run_says_once_that_it_waits_for_another(
    tmp_path: Path, out: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "LOCKED_PAUSE_S", 0.01)
    assert start(slides(tmp_path / "slides", "a.svs", "held.svs"), out) == {"a.svs": "ok", "held.svs": "ok"}
    told = f"waiting for another run on {out}, which works on held.svs"
    assert [record.getMessage() for record in caplog.records if record.name == run.__name__] == [told]

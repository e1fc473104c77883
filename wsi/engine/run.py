"""A whole run on this machine: slides handed to worker processes, records kept, the folder finished."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path

from wsi.engine import journal
from wsi.engine.book import Book, Entry, Refusal, make_key, read_book, write_book
from wsi.engine.child import Child, Message
from wsi.engine.finish import finish
from wsi.engine.gpus import device_of, jobs_for
from wsi.engine.job import Task, close_book, export_again
from wsi.engine.recipe import Recipe
from wsi.engine.worker import failure
from wsi.errors import ChildError, CrashError, LockedError, TimeoutExceeded, UsageError, WsiError
from wsi.locks import lock
from wsi.publish import sweep
from wsi.read import MppTable, Rejected, SlideFile
from wsi.results import Record, read_decisions

_log = logging.getLogger(__name__)
LOCKED_PAUSE_S = 0.5
LOOK_S = 5.0
SILENT = 30
"""A worker that says nothing for this many times `stall_s` is stopped: its slowest step, a large slide's hash, is quicker."""
GRACE_S = 5.0
"""Seconds a worker with nothing left to do gets to stop its decoder."""
SLIDES = "slides"


@dataclass(frozen=True, slots=True)
class Progress:
    """What one worker is at: `done` of `total` steps (tiles) of a stage; total is 0 where it isn't known."""

    slide: str
    stage: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Spent:
    """Where the wall seconds of one slide went; parts of a stage are called `stage: part`."""

    slide: str
    seconds: Mapping[str, float]


Watch = Callable[[Progress | Record | Spent], None]


@dataclass
class _Hand:
    """A worker process and the slide it holds."""

    child: Child
    device: str
    task: Task | None = None
    silent_s: float = 0.0
    """For how long it has said nothing while the run listened."""


@dataclass
class _Run:
    out: Path
    recipe: Recipe
    watch: Watch
    waiting: deque[Task]
    journal_bytes: int
    """The journal's size, as long as no other run writes to it."""
    known: dict[str, Record]
    locked: deque[Task] = field(default_factory=deque)
    records: list[Record] = field(default_factory=list)
    is_wait_told: bool = False

    def tell_of_wait(self) -> None:
        """Say once what is waited for: the other run may be one that was stopped and forgotten."""
        if not self.is_wait_told:
            first, *others = (task.relative for task in self.locked)
            more = f" and {len(others)} more" if others else ""
            _log.warning("waiting for another run on %s, which works on %s%s", self.out, first, more)
        self.is_wait_told = True

    def keep(self, record: Record) -> None:
        """Note a record; the journal gets a line only when it says something new, or another run may have said otherwise."""
        if self.known.get(record.slide) != record or journal.size(self.out) != self.journal_bytes:
            self.journal_bytes += journal.append(self.out, record)
        self.tell(record)

    def tell(self, record: Record) -> None:
        """Count a record in, and say so; the journal has it, or another run's word on the slide."""
        self.records.append(record)
        self.watch(record)


def run_slides(
    found: list[SlideFile | Rejected], out: Path, recipe: Recipe, *, table: MppTable | None, watch: Watch
) -> list[Record]:
    """Bring every slide as far as the recipe says, finish the folder and return the records by path.

    Raises:
        UsageError: OUT can't be used.
        NoSpaceError, ModelError: the run can't go on; what is done stays done.
        ArtifactError: what people decided can't be read; nothing was done.
    """
    open_out(out)
    read_decisions(out)
    tasks = deque(task_of(slide, table) for slide in found if isinstance(slide, SlideFile))
    run = _Run(out, recipe, watch, tasks, journal.size(out), journal.read(out))
    for slide in found:
        if isinstance(slide, Rejected):
            run.keep(_reject(slide, out))
    _work(run)
    finish(out, recipe, found, before=run.known)
    return sorted(run.records, key=lambda record: (record.path, record.slide))


def export_slides(out: Path, recipe: Recipe, *, watch: Watch) -> list[Record]:
    """Redo all files for people from the results in `out`; no slide is opened.

    Raises:
        UsageError: there are no results in `out`.
        ArtifactError: what people decided can't be read; nothing was done.
    """
    read_decisions(out)
    size, known = journal.size(out), journal.read(out)
    if not known:
        raise UsageError(
            f"{out}: no results here ({journal.JOURNAL} is missing or empty); run `wsi-run SLIDES -o {out}`"
        )
    run = _Run(out, recipe, watch, deque(), size, known)
    for record in sorted(known.values(), key=lambda r: (r.path, r.slide)):
        folder = out / SLIDES / record.slide
        if record.status == "failed" or not folder.is_dir():
            run.tell(record)
            continue
        watch(Progress(record.slide, "export", 0, 0))
        try:
            run.keep(export_again(folder, recipe, slide=record.slide, relative=record.path))
        except LockedError:  # another run works on it and exports it
            run.tell(record)
    finish(out, recipe, [])
    return run.records


def open_out(out: Path) -> None:
    """Make OUT, told by its journal from a folder of slides, and check that files can be put there; UsageError when not."""
    try:
        (out / SLIDES).mkdir(parents=True, exist_ok=True)
        probe = out / SLIDES / ".tmp-probe"
        probe.touch()
        probe.unlink(missing_ok=True)
        if not (out / journal.JOURNAL).exists():
            (out / journal.JOURNAL).touch()
    except OSError as error:
        raise UsageError(
            f"{out}: can't be written to ({error.strerror or error}); give another folder with -o"
        ) from error


def task_of(slide: SlideFile, table: MppTable | None) -> Task:
    """Return a found slide as the worker is told of it."""
    row = table.find(slide.relative) if table else None
    return Task(
        slide=slide.id,
        relative=slide.relative,
        path=str(slide.path),
        files=[str(path) for path in slide.files],
        mpp_row=list(row) if row else None,
    )


def _reject(slide: Rejected, out: Path) -> Record:
    """Record a file that no process may open, a FIFO or a dangling link."""
    folder = out / SLIDES / slide.id
    with lock(folder, wait=True):
        sweep(folder)
        refusal = Refusal(code=slide.code, reason=slide.reason)
        entry = Entry(key=make_key("rejected", slide.code, slide.reason), refusal=refusal)
        book = Book(slide=slide.id, path=slide.relative, stages={"tissue": entry})
        if read_book(folder, slide=book.slide, path=book.path) != book:
            write_book(folder, book)
        return close_book(book, folder)


def _work(run: _Run) -> None:
    with _hands(run) as hands:
        while run.waiting or run.locked or any(hand.task for hand in hands):
            for hand in hands:
                while hand.task is None and run.waiting:
                    _give(hand, run)
            busy = {hand.child.fileno(): hand for hand in hands if hand.task is not None}
            if not busy:
                run.tell_of_wait()
                time.sleep(LOCKED_PAUSE_S)
                run.waiting, run.locked = run.locked, deque()
                continue
            since = time.monotonic()
            for ready in wait(list(busy), LOOK_S):
                assert isinstance(ready, int)
                _hear(busy[ready], run)
            listened_s = min(time.monotonic() - since, LOOK_S)  # hours are gone where the whole run was suspended
            for hand in busy.values():
                _lose_if_silent(hand, run, listened_s)


@contextmanager
def _hands(run: _Run) -> Iterator[list[_Hand]]:
    config = run.recipe.config
    count = min(config.engine.jobs or jobs_for(config.encode.device), max(1, len(run.waiting)))
    hands = [_Hand(Child("wsi.engine.worker"), device_of(place, config.encode.device)) for place in range(count)]
    grace_s = 0.0
    try:
        yield hands
        grace_s = GRACE_S
    finally:
        for hand in hands:
            hand.child.stop(wait_s=grace_s)


def _give(hand: _Hand, run: _Run) -> None:
    """Hand out the next slide, which is lost when the worker dies just then."""
    task = hand.task = run.waiting.popleft()
    hand.silent_s = 0.0
    try:
        if not hand.child.running:
            start = {"do": "start", "out": str(run.out.resolve()), "device": hand.device}
            hand.child.send({**start, "recipe": run.recipe.model_dump()})
        hand.child.send({"do": "slide", "task": task.model_dump()})
    except ChildError as error:
        _lose(hand, run, _died(task, error))


def _lose_if_silent(hand: _Hand, run: _Run, listened_s: float) -> None:
    """Stop a worker that has said nothing for far too long; it costs the slide that it held."""
    hand.silent_s += listened_s
    if hand.task is not None and hand.silent_s > SILENT * run.recipe.config.engine.stall_s:
        hand.child.stop()
        told = f"{hand.task.relative}: the worker process said nothing for {hand.silent_s:.0f} s"
        _lose(hand, run, TimeoutExceeded(told))


def _lose(hand: _Hand, run: _Run, error: WsiError) -> None:
    task, hand.task = hand.task, None
    assert task is not None
    run.keep(failure(task, run.out / SLIDES / task.slide, error))


def _died(task: Task, error: ChildError) -> CrashError:
    return CrashError(f"{task.relative}: the worker process died ({error}); run again to try this slide again")


def _hear(hand: _Hand, run: _Run) -> None:
    """Take one message of a worker: progress, a record, or its death, which costs the slide it held."""
    task = hand.task
    assert task is not None
    try:
        message, _ = hand.child.receive(60.0)
    except LockedError:
        hand.task = None
        run.locked.append(task)
        return
    except ChildError as error:
        _lose(hand, run, _died(task, error))
        return
    hand.silent_s = 0.0
    _note(hand, run, message)


def _note(hand: _Hand, run: _Run, message: Message) -> None:
    if "record" in message:
        hand.task = None
        record = Record.model_validate(message["record"])
        run.keep(record)
        run.watch(Spent(record.slide, message["seconds"]))
    else:
        run.watch(Progress(message["slide"], message["stage"], message["done"], message["total"]))

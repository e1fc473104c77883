"""What a person, or a program, sees while slides are worked on. Progress on stderr, results on stdout."""

import json
import shutil
import sys
import time
from types import TracebackType
from typing import Protocol, Self

import click

from wsi.engine.clock import WAITED
from wsi.engine.run import Progress, Spent
from wsi.results import Record

REDRAW_S = 0.1
WORDS = {
    "hash": "checking",
    "tissue": "tissue",
    "tile": "tiles",
    "encode": "encoding",
    "predict": "grading",
    "export": "export",
}


class Watcher(Protocol):
    """Told of every step of a run."""

    def watch(self, event: Progress | Record | Spent) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Quiet:
    """Says nothing."""

    def watch(self, event: Progress | Record | Spent) -> None:
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class JsonLines(Quiet):
    """One JSON object a line on stdout: progress while it lasts, and a record for each slide."""

    def watch(self, event: Progress | Record | Spent) -> None:
        if isinstance(event, Record):
            told = {"event": "slide", **event.model_dump(exclude={"artifacts"})}
        elif isinstance(event, Spent):
            told = {"event": "spent", "slide": event.slide, "seconds": dict(event.seconds)}
        else:
            told = {
                "event": "progress",
                "slide": event.slide,
                "stage": event.stage,
                "done": event.done,
                "total": event.total,
            }
        click.echo(json.dumps(told))


class Profile(Quiet):
    """Passes everything on to another watcher and adds up where the time went."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._seconds: dict[str, float] = {}

    def watch(self, event: Progress | Record | Spent) -> None:
        self._watcher.watch(event)
        if isinstance(event, Spent):
            for name, seconds in event.seconds.items():
                self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def __enter__(self) -> Self:
        self._watcher.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watcher.__exit__(kind, error, trace)
        click.echo("\n".join(self.lines()), err=True)

    def lines(self) -> list[str]:
        """Return the table: a line a stage in their order, its parts below it, and what the encoder waited for."""
        stages = [name for name in WORDS if name in self._seconds]
        whole = sum(self._seconds[name] for name in stages)
        found = [f"{'stage':30}{'wall s':>9}{'share':>8}"]
        for stage in stages:
            parts = [name for name in self._seconds if name.startswith(f"{stage}: ")]
            for name in (stage, *parts):
                label = WORDS[stage] if name == stage else "  " + name.removeprefix(f"{stage}: ")
                found.append(f"{label:30}{self._seconds[name]:9.2f}{self._seconds[name] / max(whole, 1e-9):8.1%}")
        if WAITED in self._seconds and "encode" in self._seconds:
            loading = self._seconds.get("encode: loading the network", 0.0)
            share = self._seconds[WAITED] / max(self._seconds["encode"] - loading, 1e-9)
            found.append(f"The encoder waited for tiles {share:.1%} of its time.")
        return found


class Bar(Quiet):
    """A line that is redrawn on a terminal; elsewhere one line a finished slide.

    The time left is reckoned from the bytes of the slides that are through, the one measure known of all, but for those that
    an earlier run did: they tell nothing of how long the others take.
    """

    def __init__(self, sizes: dict[str, int]) -> None:
        self._sizes = dict(sizes)
        self._through: set[str] = set()
        self._started = time.monotonic()
        self._at: dict[str, tuple[Progress, float, int]] = {}
        self._drawn = 0.0
        self._live = sys.stderr.isatty()

    def watch(self, event: Progress | Record | Spent) -> None:
        if isinstance(event, Record):
            at = self._at.pop(event.slide, None)
            if at is None or at[0].stage == "hash":
                self._sizes[event.slide] = 0
            self._through.add(event.slide)
            told = f"{event.status} {event.code}".strip()
            self._line(f"[{len(self._through)}/{max(len(self._sizes), len(self._through))}] {event.slide}: {told}")
        elif isinstance(event, Progress):
            before = self._at.get(event.slide)
            same = before is not None and before[0].stage == event.stage
            since, first = (before[1], before[2]) if before is not None and same else (time.monotonic(), event.done)
            self._at[event.slide] = (event, since, first)
        self._draw()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            click.echo("\r\x1b[K", err=True, nl=False)

    def _line(self, text: str) -> None:
        click.echo(("\r\x1b[K" if self._live else "") + plain(text), err=True)

    def _draw(self) -> None:
        now = time.monotonic()
        if not self._live or not self._at or now - self._drawn < REDRAW_S:
            return
        self._drawn = now
        words = "  ".join(self._now(*entry, now) for entry in self._at.values())
        text = f"[{len(self._through)}/{len(self._sizes)}] {words}  {self._left(now)}"
        click.echo("\r\x1b[K" + plain(text)[: shutil.get_terminal_size().columns - 1], err=True, nl=False)

    def _now(self, event: Progress, since: float, first: int, now: float) -> str:
        word = f"{event.slide[:40]} {WORDS.get(event.stage, event.stage)}"
        if not event.total:
            return word
        rate = (event.done - first) / max(now - since, 1e-6)
        return f"{word} {event.done}/{event.total} tiles, {rate:.0f}/s"

    def _left(self, now: float) -> str:
        done: float = sum(self._sizes.get(slide, 0) for slide in self._through)
        for slide, (event, _, _) in self._at.items():
            done += self._sizes.get(slide, 0) * event.done / event.total if event.total else 0
        if not done:
            return ""
        left = (now - self._started) * (sum(self._sizes.values()) - done) / done
        return f"{round(left)} s left" if left < 120 else f"{round(left / 60)} min left"


def plain(text: str) -> str:
    """Return `text` with every control character spelt out: a file's name can't drive the terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)

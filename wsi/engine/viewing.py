"""Slides to look at: their tiles decoded by supervised processes, which may die without taking the server along."""

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from wsi.engine.child import Child, Message
from wsi.errors import AbsentError, ChildError, TimeoutExceeded, WsiError
from wsi.read.find import fingerprint
from wsi.review.tiles import Piece, View, ViewLevel

WORKERS = min(4, max(2, os.cpu_count() or 2))
STALL_S = 20.0
"""A process that says nothing for so long, over one tile, is stopped."""
MEMORY_GB = 4.0
_SEVERAL = frozenset({".mrxs", ".vms", ".vmu", ".dcm"})
"""Slides that may have more files than the one that is opened."""
_ID_HASH = re.compile(r"-([0-9a-f]{8})(?:-\d+)?$")


class _Hand:
    """A viewing process and the slides it has been asked for."""

    def __init__(self) -> None:
        self.child = Child("wsi.engine.viewer", memory_bytes=round(MEMORY_GB * 2**30))
        self.knows: set[str] = set()

    def ask(self, message: Message, *, stall_s: float) -> tuple[Message, list[bytes]]:
        if not self.child.running:
            self.knows.clear()
        self.child.send(message)
        self.knows.add(message.get("path", ""))
        return self.child.receive(stall_s)


class Viewing:
    """The Tiles of slides whose places are known. Any thread may ask; each process answers one at a time."""

    def __init__(
        self,
        places: Mapping[str, Path],
        *,
        is_picture: Callable[[str], bool] = lambda _: False,
        workers: int = WORKERS,
        stall_s: float = STALL_S,
    ) -> None:
        """Take where slides lie, by id.

        Args:
            is_picture: whether a slide is a picture that was read whole, and so is shown as it was read.
            workers: processes that decode at once.
            stall_s: seconds after which one that says nothing is stopped.
        """
        self._places, self._is_picture, self._stall_s = places, is_picture, stall_s
        self._idle = [_Hand() for _ in range(workers)]
        self._all = tuple(self._idle)
        self._free = threading.Condition()
        self._helpers = ThreadPoolExecutor(max(1, workers - 1), "open")
        self._views: dict[str, tuple[tuple[int, ...], View]] = {}
        self._same: dict[str, tuple[int, ...]] = {}
        self._deadly: set[tuple[object, ...]] = set()

    def warm(self) -> None:
        """Start the processes, so that the first slide needn't wait for them."""
        for hand in self._all:
            hand.child.start()

    def close(self) -> None:
        """End the processes."""
        self._helpers.shutdown(cancel_futures=True)
        for hand in self._all:
            hand.child.stop()

    def has(self, slide: str, /) -> bool:
        return slide in self._places

    def look(self, slide: str, /) -> View:
        path, mark = self._place(slide)
        known = self._views.get(slide)
        if known is None or known[0] != mark:
            self._helpers.submit(
                self._open_elsewhere, {"do": "open", "path": str(path), "whole": self._is_picture(slide)}
            )
            told, _ = self._ask(slide, path, {"do": "open"}, ())
            levels = tuple(ViewLevel(int(w), int(h), float(d), int(px)) for w, h, d, px in told["levels"])
            known = mark, View(told["width"], told["height"], levels, told["mpp"])
            self._views[slide] = known
        return known[1]

    def tile(self, slide: str, level: int, column: int, row: int, /) -> bytes:
        path, _ = self._place(slide)
        asked = {"do": "tile", "level": level, "column": column, "row": row}
        return self._ask(slide, path, asked, (level, column, row))[1][0]

    def crop(self, slide: str, piece: Piece, /) -> bytes:
        path, _ = self._place(slide)
        return self._ask(slide, path, {"do": "crop", "piece": asdict(piece)}, (piece,))[1][0]

    def _open_elsewhere(self, message: Message) -> None:
        """Let one more process open a slide that somebody has just begun to look at, if it has nothing else to do."""
        with self._free:
            hand = next((one for one in reversed(self._idle) if message["path"] not in one.knows), None)
            if hand is None or len(self._idle) == len(self._all) == 1:
                return
            self._idle.remove(hand)
        try:
            with contextlib.suppress(WsiError):
                hand.ask(message, stall_s=self._stall_s)
        finally:
            self._back(hand)

    def _back(self, hand: _Hand) -> None:
        with self._free:
            self._idle.append(hand)
            self._free.notify()

    def _checked(self, slide: str, path: Path, mark: tuple[int, ...]) -> None:
        """Hold that the file still is the slide that was run; AbsentError when it isn't.

        A slide's id ends in a hash of samples of its file. Of several files that take part it is of them all, which
        only a search of their folder tells (`--slides`).
        """
        if self._same.get(slide) == mark or path.suffix.lower() in _SEVERAL:
            return
        told = _ID_HASH.search(slide)
        if told and fingerprint((path,))[:8] != told[1]:
            raise AbsentError("another file lies where the slide lay; bring the slide back, or run wsi-run again")
        self._same[slide] = mark

    def _place(self, slide: str) -> tuple[Path, tuple[int, ...]]:
        """Return the slide's file and what changes when it does; AbsentError when it isn't there."""
        path = self._places.get(slide)
        if path is None:
            raise AbsentError("where this slide lies isn't known here; start with --slides and the folder it lies in")
        try:
            found = path.stat()
        except OSError as error:
            raise AbsentError(
                "the slide isn't where it lay when it was run; bring it back, or start with --slides and its folder"
            ) from error
        mark = (found.st_size, found.st_mtime_ns, found.st_ino)
        self._checked(slide, path, mark)
        return path, mark

    def _ask(self, slide: str, path: Path, message: Message, what: tuple[object, ...]) -> tuple[Message, list[bytes]]:
        """Return the answer of a process; one that dies over it is asked once more, and never again for the same.

        Raises:
            SlideError: the slide or that part of it can't be decoded. ChildError: the process died or hung twice.
        """
        if (slide, *what) in self._deadly:
            raise ChildError("this part of the slide stopped the decoder before and isn't tried again")
        message = {**message, "path": str(path), "whole": self._is_picture(slide)}
        try:
            return self._ask_once(path, message)
        except TimeoutExceeded:
            raise
        except ChildError:
            pass
        try:
            return self._ask_once(path, message)
        except ChildError:
            self._deadly.add((slide, *what))
            raise

    def _ask_once(self, path: Path, message: Message) -> tuple[Message, list[bytes]]:
        with self._hand(str(path)) as hand:
            return hand.ask(message, stall_s=self._stall_s)

    @contextmanager
    def _hand(self, path: str) -> Iterator[_Hand]:
        """Yield a process that is free, one that has the slide open if there is such."""
        with self._free:
            if not self._free.wait_for(lambda: self._idle, self._stall_s):
                raise TimeoutExceeded("all decoders are busy")
            hand = next((one for one in self._idle if path in one.knows), self._idle[0])
            self._idle.remove(hand)
        try:
            yield hand
        finally:
            self._back(hand)

"""Slides to look at: their tiles decoded by supervised processes, which may die without taking the server along."""

import functools
import json
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path

from wsi.engine.child import Message
from wsi.engine.view_pool import Question, ViewPool
from wsi.errors import AbsentError, TimeoutExceeded, WsiError
from wsi.read.find import fingerprint, mark_of
from wsi.resources import cores
from wsi.review.tiles import Piece, TileKey, View, ViewLevel

WORKERS = min(4, max(2, cores()))
STALL_S = 20.0
"""A process that says nothing for so long, over one tile, is stopped."""
BAND_ROWS, BAND_PX = 2, 1024
"""Rows of tiles, and px of level 0, that go to one process: stored strips that neighbors share are decoded once."""
_SEVERAL = frozenset({".mrxs", ".vms", ".vmu", ".dcm"})
"""Slides that may have more files than the one that is opened."""
_ID_HASH = re.compile(r"-([0-9a-f]{8})(?:-\d+)?$")


@dataclass(frozen=True, slots=True)
class _Found:
    """A slide's file as it was when it was found to be the slide that was run. whole: a picture that was read whole."""

    path: Path
    mark: tuple[int, int, int]
    whole: bool


class Viewing:
    """The Tiles of slides whose places are known. Any thread may ask."""

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
        self._pool, self._lanes = ViewPool(workers, stall_s=stall_s), range(workers)
        self._found: dict[str, _Found] = {}
        self._views: dict[str, tuple[_Found, View]] = {}
        self._whole_frames: set[tuple[str, int]] = set()
        self._warm: set[Hashable] = set()

    def warm(self) -> None:
        """Start the processes, so that the first slide needn't wait for them."""
        self._pool.start()

    def close(self) -> None:
        """End the processes."""
        self._pool.close()

    def has(self, slide: str, /) -> bool:
        return slide in self._places

    def look(self, slide: str, /, *, ahead: bool = False) -> View:
        found = self._checked(slide)
        known = self._views.get(slide)
        if known is None or known[0] != found:
            opened = self._pool.ask(self._question(slide, {"do": "open"}, lane=None, is_minor=ahead))
            if not ahead:
                self._pool.ask_ahead(self._on_each(slide, {"do": "open"}))
            told = json.loads(self._waited(opened))
            levels = tuple(ViewLevel(**level) for level in told["levels"])
            self._whole_frames |= {(slide, number) for number in told["framed"]}
            known = self._views[slide] = found, View(told["width"], told["height"], levels, told["mpp"])
            if not ahead:
                self._warm_up([slide])
        return known[1]

    def tile(self, key: TileKey, /) -> bytes:
        self._checked(key.slide)
        return self._waited(self.tile_soon(key))

    def tile_soon(self, key: TileKey, /) -> Future[bytes]:
        return self._pool.ask(self._tile(key))

    def tiles_ahead(self, keys: Sequence[TileKey], take: Callable[[TileKey, bytes], object], /) -> None:
        questions = [self._tile(key) for key in keys]
        asked = {question.key: key for question, key in zip(questions, keys, strict=True)}
        for name, answer in self._warm_up({key.slide for key in keys}, questions):
            answer.add_done_callback(_handing_on(asked[name], take))

    def crop(self, slide: str, piece: Piece, /) -> bytes:
        self._checked(slide)
        message = {"do": "crop", "piece": asdict(piece)}
        asked = self._question(slide, message, piece, lane=hash((slide, piece.y // BAND_PX)), is_minor=True)
        return self._waited(self._pool.ask(asked))

    def _warm_up(
        self, slides: Iterable[str], questions: Sequence[Question] = ()
    ) -> list[tuple[Hashable, Future[bytes]]]:
        """Ask ahead for a tile of each level of these slides that a process has never read, and then for the others.

        Returns the answers to come to the others. What a level needs once, such as proof of its frames, is done then.
        """
        cold = [one for slide in slides for one in self._cold(slide)]
        names = {one.key for one in cold}
        answers = self._pool.ask_ahead([*cold, *questions])
        for name, answer in answers:
            if name in names:
                answer.add_done_callback(functools.partial(self._note_warm, name))
        return [(name, answer) for name, answer in answers if name not in names]

    def _note_warm(self, name: Hashable, answer: Future[bytes]) -> None:
        if not answer.cancelled():
            self._warm.add(name)

    def _cold(self, slide: str) -> Iterator[Question]:
        """Yield a tile of each level for each process that has never read it, the coarsest first."""
        levels = self._views[slide][1].levels if slide in self._views else ()
        for number, level in reversed(list(enumerate(levels))):
            place = {"level": number, "column": level.columns // 2, "row": level.rows // 2}
            for one in self._on_each(slide, {"do": "tile", **place}, number):
                if one.key not in self._warm:
                    yield one

    def _on_each(self, slide: str, message: Message, *what: object) -> Iterator[Question]:
        for lane in self._lanes:
            yield self._question(slide, message, *what, lane, lane=lane, is_bound=True)

    def _tile(self, key: TileKey) -> Question:
        message = {"do": "tile", "level": key.level, "column": key.column, "row": key.row}
        is_alone = (key.slide, key.level) in self._whole_frames  # no neighbor's frame is decoded with it
        lane = None if is_alone else hash((key.slide, key.level, key.row // BAND_ROWS))
        return self._question(key.slide, message, key, lane=lane)

    def _question(
        self,
        slide: str,
        message: Message,
        *what: object,
        lane: int | None,
        is_bound: bool = False,
        is_minor: bool = False,
    ) -> Question:
        """Return a question about a slide's file, with its mark: the process tells when it is another by then."""
        found = self._found.get(slide)
        if found is None:
            raise AbsentError("whether the slide is the one that was run isn't known yet")
        told = {**message, "path": str(found.path), "mark": found.mark, "whole": found.whole}
        lane = None if lane is None else lane % len(self._lanes)
        return Question((slide, message["do"], *what), told, lane, is_bound, is_minor)

    def _waited(self, answer: Future[bytes]) -> bytes:
        """Return an answer, waited for as long as two that hang may take: the one before it and its own."""
        try:
            return answer.result(2 * self._stall_s)
        except TimeoutError as error:
            if isinstance(error, WsiError):
                raise
            raise TimeoutExceeded("all decoders are busy") from error

    def _checked(self, slide: str) -> _Found:
        """Return the slide's file, which is the slide that was run.

        A slide's id ends in a hash of samples of its file. Of several files that take part it is of them all, which
        only a search of their folder tells (`--slides`).

        Raises:
            AbsentError: it isn't there, or another file lies in its place.
        """
        path = self._places.get(slide)
        if path is None:
            raise AbsentError("where this slide lies isn't known here; start with --slides and the folder it lies in")
        try:
            mark = mark_of(path)
        except OSError as error:
            raise AbsentError(
                "the slide isn't where it lay when it was run; bring it back, or start with --slides and its folder"
            ) from error
        known = self._found.get(slide)
        if known is None or known.mark != mark:
            told = _ID_HASH.search(slide)
            if path.suffix.lower() not in _SEVERAL and told and fingerprint((path,))[:8] != told[1]:
                raise AbsentError("another file lies where the slide lay; bring the slide back, or run wsi-run again")
            known = self._found[slide] = _Found(path, mark, self._is_picture(slide))
        return known


def _handing_on(key: TileKey, take: Callable[[TileKey, bytes], object]) -> Callable[[Future[bytes]], None]:
    """Return what gives a tile to `take`; one that was dropped or can't be decoded isn't missed."""

    def hand_on(answer: Future[bytes]) -> None:
        if not answer.cancelled() and answer.exception() is None:
            take(key, answer.result())

    return hand_on

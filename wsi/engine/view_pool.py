"""Viewing processes and what they are asked: each answers one question at a time, what people wait for goes first.

A question that several ask is asked once. Of what is asked ahead of time only the last list counts.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from wsi.engine.child import Child, Message
from wsi.errors import ChildError, CrashError, MemoryExceeded, WsiError

MEMORY_GB = 4.0
_ENDED = "the viewing processes were ended"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: `key` names it among all questions, `message` goes to a process.

    lane: the process that is likely to have decoded what it needs, taken before older questions; None: all alike.
    is_bound: no other process may answer. is_minor: what isn't minor goes first.
    """

    key: Hashable
    message: Message
    lane: int | None = None
    is_bound: bool = False
    is_minor: bool = False


@dataclass(eq=False, slots=True)
class _Job:
    question: Question
    answer: Future[bytes] = field(default_factory=Future)


class ViewPool:
    """`workers` processes, each with a memory limit. Any thread may ask."""

    def __init__(self, workers: int, *, stall_s: float) -> None:
        """Take how many processes decode at once, and seconds after which one that says nothing is stopped."""
        memory = round(MEMORY_GB * 2**30)
        self.children = [Child("wsi.engine.viewer", memory_bytes=memory) for _ in range(workers)]
        self._stall_s = stall_s
        self._lock = threading.Lock()
        self._idle = set(range(workers))
        self._asked, self._minor, self._ahead = deque[_Job](), deque[_Job](), deque[_Job]()
        self._open: dict[Hashable, _Job] = {}
        self._deadly: set[Hashable] = set()
        self._threads = ThreadPoolExecutor(workers, "view")
        self._is_closed = False

    def start(self) -> None:
        """Start the processes, so that the first question needn't wait for them."""
        for child in self.children:
            child.start()

    def close(self) -> None:
        """End the processes; who still waits is told so."""
        with self._lock:
            self._is_closed = True
            waiting = [*self._asked, *self._minor, *self._ahead]
            for queue in (self._asked, self._minor, self._ahead):
                queue.clear()
        for job in waiting:
            job.answer.set_exception(ChildError(_ENDED))
        for child in self.children:
            child.stop()
        self._threads.shutdown()

    def ask(self, question: Question) -> Future[bytes]:
        """Return the bytes to come, the same ones for all who ask the same.

        It may be a SlideError (it can't be decoded), AbsentError, or a ChildError: the process hung, or died twice, the
        second time over this question alone, which is remembered.
        """
        with self._lock:
            if self._is_closed:
                return _failed(ChildError(_ENDED))
            if question.key in self._deadly:
                return _failed(ChildError("this part of the slide stopped the decoder before and isn't tried again"))
            queue = self._minor if question.is_minor else self._asked
            job = self._open.get(question.key)
            if job is None:
                job = self._open[question.key] = _Job(question)
                queue.append(job)
            elif job in self._ahead:
                self._ahead.remove(job)
                queue.append(job)
            is_anyone_idle = bool(self._idle)  # who is busy looks for the next question by itself
        if is_anyone_idle:
            self._threads.submit(self._work)
        return job.answer

    def ask_ahead(self, questions: Iterable[Question]) -> list[tuple[Hashable, Future[bytes]]]:
        """Ask these in their order while nobody waits for anything; what was asked ahead before is dropped.

        Returns the keys that nobody had asked yet, and the bytes to come; of those dropped later they are cancelled.
        """
        with self._lock:
            if self._is_closed:
                return []
            dropped = list(self._ahead)
            self._ahead.clear()
            for job in dropped:
                del self._open[job.question.key]
            new = [_Job(one) for one in questions if one.key not in self._open and one.key not in self._deadly]
            self._open |= {job.question.key: job for job in new}
            self._ahead.extend(new)
        for job in dropped:
            job.answer.cancel()
        for _ in self.children:
            self._threads.submit(self._work)
        return [(job.question.key, job.answer) for job in new]

    def _work(self) -> None:
        """Answer what waits until nothing is left that an idle process may answer."""
        while (taken := self._taken()) is not None:
            self._answer(*taken)

    def _taken(self) -> tuple[_Job, int] | None:
        """Return what is to be answered next and the process for it, the one in its lane if that is idle."""
        with self._lock:
            idle: set[int | None] = {None, *self._idle}
            for waiting in (self._asked, self._minor, self._ahead) if self._idle else ():
                at_home = next((job for job in waiting if job.question.lane in idle), None)
                job = at_home or next((job for job in waiting if not job.question.is_bound), None)
                if job is not None:
                    lane = job.question.lane
                    lane = lane if lane in self._idle and lane is not None else min(self._idle)
                    waiting.remove(job)
                    self._idle.remove(lane)
                    job.answer.set_running_or_notify_cancel()
                    return job, lane
        return None

    def _answer(self, job: _Job, lane: int) -> None:
        told: bytes | WsiError = ChildError("the viewing process gave no answer")
        try:
            told = self._asked_twice(job.question, self.children[lane])
        except WsiError as error:
            told = error
        finally:
            with self._lock:
                self._idle.add(lane)
                del self._open[job.question.key]
            if isinstance(told, WsiError):
                job.answer.set_exception(told)
            else:
                job.answer.set_result(told)

    def _asked_twice(self, question: Question, child: Child) -> bytes:
        """Return the answer of a process; one that dies may have had another reason, so its next one is asked again."""
        with contextlib.suppress(CrashError, MemoryExceeded):
            return self._asked_once(question, child)
        if self._is_closed:
            raise ChildError(_ENDED)
        try:
            return self._asked_once(question, child)
        except (CrashError, MemoryExceeded):
            self._deadly.add(question.key)
            raise

    def _asked_once(self, question: Question, child: Child) -> bytes:
        child.send(question.message)
        return child.receive(self._stall_s)[1][0]


def _failed(error: WsiError) -> Future[bytes]:
    found: Future[bytes] = Future()
    found.set_exception(error)
    return found

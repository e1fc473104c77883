"""What is asked of viewing processes, with processes that answer by a script: order, sharing, and what is held against a tile."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from wsi.engine.child import Message
from wsi.engine.view_pool import Question, ViewPool
from wsi.errors import ChildError, CrashError, MemoryExceeded, RegionError, TimeoutExceeded

WAIT_S = 10.0


class Scripted:
    """A process: what it was asked in order; `does` says what it answers, and raises as Child does."""

    def __init__(self, does: Callable[[Message], bytes]) -> None:
        self.asked: list[Message] = []
        self._does = does

    def send(self, message: Message) -> None:
        self.asked.append(message)

    def receive(self, _stall_s: float) -> tuple[Message, list[bytes]]:
        return {}, [self._does(self.asked[-1])]

    def stop(self) -> None:
        """Nothing runs."""


class Pool(ViewPool):
    """A ViewPool over scripted processes."""

    def __init__(self, *scripts: Callable[[Message], bytes]) -> None:
        super().__init__(len(scripts), stall_s=1.0)
        self.scripted = [Scripted(does) for does in scripts]
        self.children = self.scripted  # type: ignore[assignment]


@pytest.fixture
def pools() -> Iterator[Callable[..., Pool]]:
    made: list[Pool] = []

    def over(*scripts: Callable[[Message], bytes]) -> Pool:
        made.append(Pool(*scripts))
        return made[-1]

    yield over
    for one in made:
        one.close()


def question(name: str, *, lane: int | None = None, is_bound: bool = False, is_minor: bool = False) -> Question:
    return Question(name, {"name": name}, lane, is_bound, is_minor)


def name_of(message: Message) -> bytes:
    return str(message["name"]).encode()


def failing(*errors: Exception) -> Callable[[Message], bytes]:
    """Return a script that raises these one after the other and then answers."""
    left = list(errors)

    def does(message: Message) -> bytes:
        if left:
            raise left.pop(0)
        return name_of(message)

    return does


def held() -> tuple[Callable[[Message], bytes], threading.Event, threading.Event]:
    """Return a script that waits in its answer to "first", and the events that it began and that it may go on."""
    began, may_go_on = threading.Event(), threading.Event()

    def does(message: Message) -> bytes:
        if message["name"] == "first":
            began.set()
            assert may_go_on.wait(WAIT_S)
        return name_of(message)

    return does, began, may_go_on


def error_of(answer: Future[bytes]) -> BaseException | None:
    return answer.exception(WAIT_S)


@pytest.mark.parametrize("error", [CrashError("by another's doing"), MemoryExceeded("too much at once")])
def test_question_during_which_a_process_died_is_asked_again_and_not_held_against_it(
    error: Exception, pools: Callable[..., Pool]
) -> None:
    pool = pools(failing(error))
    assert pool.ask(question("tile")).result(WAIT_S) == b"tile"
    assert pool.ask(question("tile")).result(WAIT_S) == b"tile"
    assert [one["name"] for one in pool.scripted[0].asked] == ["tile"] * 3


def test_question_that_kills_the_next_process_too_alone_is_never_asked_again(pools: Callable[..., Pool]) -> None:
    pool = pools(failing(CrashError("segfault"), CrashError("segfault")))
    assert isinstance(error_of(pool.ask(question("deadly"))), CrashError)
    assert "isn't tried again" in str(error_of(pool.ask(question("deadly"))))
    assert pool.ask(question("other")).result(WAIT_S) == b"other"
    assert [one["name"] for one in pool.scripted[0].asked] == ["deadly", "deadly", "other"]


@pytest.mark.parametrize("errors", [(CrashError("died"), TimeoutExceeded("hung")), (TimeoutExceeded("hung"),)])
def test_slow_disk_or_full_machine_after_a_crash_is_not_held_against_a_tile(
    errors: tuple[Exception, ...], pools: Callable[..., Pool]
) -> None:
    pool = pools(failing(*errors))
    assert isinstance(error_of(pool.ask(question("innocent"))), TimeoutExceeded)
    assert pool.ask(question("innocent")).result(WAIT_S) == b"innocent"


@pytest.mark.parametrize("error", [RegionError("a damaged frame"), KeyError("blobs"), ValueError("no JSON")])
def test_other_trouble_is_told_and_the_process_goes_on(error: Exception, pools: Callable[..., Pool]) -> None:
    pool = pools(failing(error))
    told = error_of(pool.ask(question("tile")))
    assert isinstance(told, RegionError if isinstance(error, RegionError) else ChildError)
    assert pool.ask(question("tile")).result(WAIT_S) == b"tile"


def test_what_several_ask_at_once_is_asked_once(pools: Callable[..., Pool]) -> None:
    does, began, may_go_on = held()
    pool = pools(does)
    pool.ask(question("first"))
    assert began.wait(WAIT_S)
    answers = [pool.ask(question("same")) for _ in range(5)]
    may_go_on.set()
    assert [answer.result(WAIT_S) for answer in answers] == [b"same"] * 5
    assert [one["name"] for one in pool.scripted[0].asked] == ["first", "same"]


def test_what_people_wait_for_goes_before_what_is_asked_ahead_of_which_the_last_list_counts(
    pools: Callable[..., Pool],
) -> None:
    does, began, may_go_on = held()
    pool = pools(does)
    pool.ask(question("first"))
    assert began.wait(WAIT_S)
    dropped = pool.ask_ahead([question("dropped"), question("wanted")])
    wanted = pool.ask(question("wanted"))
    ahead = pool.ask_ahead([question("ahead"), question("wanted")])
    minor = pool.ask(question("minor", is_minor=True))
    asked = pool.ask(question("asked"))
    may_go_on.set()
    assert [name for name, _ in ahead] == ["ahead"]
    assert ahead[0][1].result(WAIT_S) == b"ahead"
    assert (asked.result(WAIT_S), minor.result(WAIT_S)) == (b"asked", b"minor")
    assert (dropped[0][1].cancelled(), wanted.result(WAIT_S)) == (True, b"wanted")
    assert [one["name"] for one in pool.scripted[0].asked] == ["first", "wanted", "asked", "minor", "ahead"]


def test_questions_go_to_the_process_in_their_lane_and_bound_ones_to_no_other(pools: Callable[..., Pool]) -> None:
    does, began, may_go_on = held()
    pool = pools(does, name_of)
    pool.ask(question("first", lane=0))
    assert began.wait(WAIT_S)
    assert pool.ask(question("anybody")).result(WAIT_S) == b"anybody"
    bound = pool.ask(question("bound", lane=0, is_bound=True))
    assert pool.ask(question("free", lane=0)).result(WAIT_S) == b"free"
    assert pool.ask(question("home", lane=1)).result(WAIT_S) == b"home"
    assert not bound.done()
    may_go_on.set()
    assert bound.result(WAIT_S) == b"bound"
    asked = [[one["name"] for one in child.asked] for child in pool.scripted]
    assert asked == [["first", "bound"], ["anybody", "free", "home"]]


def test_who_waits_when_all_ends_is_told_so(pools: Callable[..., Pool]) -> None:
    does, began, may_go_on = held()
    pool = pools(does)
    pool.ask(question("first"))
    assert began.wait(WAIT_S)
    waiting = pool.ask(question("waiting"))
    threading.Timer(0.05, may_go_on.set).start()
    pool.close()
    assert "were ended" in str(error_of(waiting))
    assert "were ended" in str(error_of(pool.ask(question("late"))))
    assert pool.ask_ahead([question("late")]) == []

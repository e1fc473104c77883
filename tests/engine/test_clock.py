"""Time is added up by name, also when what is timed fails."""

import time
from collections.abc import Iterator

import pytest

from wsi.engine.clock import Clock


def test_times_of_one_name_add_up() -> None:
    clock = Clock()
    for _ in range(2):
        with clock.time("a"):
            time.sleep(0.01)
    assert 0.02 <= clock.seconds["a"] < 2
    assert list(clock.seconds) == ["a"]


def test_time_counts_when_the_block_fails() -> None:
    def fail() -> None:
        with clock.time("a"):
            time.sleep(0.01)
            raise ValueError("torn")

    clock = Clock()
    with pytest.raises(ValueError, match="torn"):
        fail()
    assert clock.seconds["a"] >= 0.01


def test_only_the_waiting_counts_not_what_is_done_between() -> None:
    def slow() -> Iterator[int]:
        for i in range(3):
            time.sleep(0.01)
            yield i

    clock = Clock()
    found = []
    for one in clock.waiting("wait", slow()):
        found.append(one)
        time.sleep(0.05)
    assert found == [0, 1, 2]
    assert 0.03 <= clock.seconds["wait"] < 0.14

"""What a worker makes of an error: one slide's, or the end of the run."""

import errno
import os
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest

from wsi.config import Config
from wsi.engine import worker
from wsi.engine.child import receive
from wsi.engine.job import Task
from wsi.engine.recipe import Recipe
from wsi.errors import NoSpaceError

TASK = Task(slide="a-1", relative="a.svs", path="/slides/a.svs", files=["/slides/a.svs"])


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that lets the work on a slide end with an error and returns the slide's record."""
    made, (ours, theirs) = worker.Worker(), Pipe()
    recipe = Recipe(until="tissue", config=Config()).model_dump()
    made.answer(theirs, {"do": "start", "recipe": recipe, "out": str(tmp_path), "device": "cpu"}, [])

    def end(error: Exception) -> Any:
        def job(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(worker, "run_job", job)
        made.answer(theirs, {"do": "slide", "task": TASK.model_dump()}, [])
        return receive(ours)[0]["record"]

    yield end
    made.close()
    ours.close()
    theirs.close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_folder_that_a_quota_keeps_from_being_made_ends_the_run(code: int, given: Any) -> None:
    with pytest.raises(NoSpaceError, match=r"a-1: the disk is full; free some space"):
        given(OSError(code, os.strerror(code)))


def test_other_errors_of_a_disk_are_the_slides(given: Any) -> None:
    record = given(OSError(errno.EIO, "Input/output error"))
    assert (record["code"], record["reason"]) == ("E_ARTIFACT", "a.svs: Input/output error")


def test_memory_that_runs_out_is_said_to_have_and_no_bug(given: Any) -> None:
    record = given(MemoryError("Unable to allocate 40. GiB"))
    assert record["code"] == "E_MEMORY"
    assert record["reason"].startswith("a.svs: needs more memory than there is (Unable to allocate 40. GiB); ")

"""One slide through its stages: what is found while it can't be reached isn't kept."""

from pathlib import Path
from typing import Any, cast

import pytest

from tests.traps import write_trap
from wsi.config import Config, ReadConfig
from wsi.engine.book import read_book
from wsi.engine.decoder import Decoder
from wsi.engine.job import Task, run_job
from wsi.engine.recipe import Recipe
from wsi.errors import ChangedError, ModalityError, UnreadableError


class Unreadable:
    """A decoder on which the place of the slides goes away as it opens one."""

    def open(self, path: Path, relative: str, config: ReadConfig, *, mpp_row: list[float] | None) -> Any:
        path.rename(path.with_suffix(".away"))
        raise UnreadableError(f"{relative}: can't be read")


class Opens:
    """A decoder that gets to see the slide."""

    def open(self, path: Path, relative: str, config: ReadConfig, *, mpp_row: list[float] | None) -> Any:
        raise ModalityError(f"{relative}: seen")


def work(task: Task, folder: Path, decoder: object) -> str:
    recipe = Recipe(until="tissue", config=Config())
    made = run_job(task, folder, recipe, decoder=cast("Decoder", decoder), models=cast("Any", None), report=print)
    return made.code


def test_slide_that_was_away_for_a_while_is_looked_at_again(tmp_path: Path) -> None:
    path, folder = write_trap(tmp_path / "a.svs"), tmp_path / "OUT" / "slides" / "a-1"
    task = Task(slide="a-1", relative="a.svs", path=str(path), files=[str(path)])
    with pytest.raises(ChangedError, match=r"a\.svs: can't be reached any more .*run the same command again"):
        work(task, folder, Unreadable())
    assert read_book(folder, slide="a-1", path="a.svs").stages == {}
    with pytest.raises(ChangedError, match="can't be reached any more"):
        work(task, folder, Opens())
    path.with_suffix(".away").rename(path)
    assert work(task, folder, Opens()) == "E_MODALITY"

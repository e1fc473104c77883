"""A run whose workers die, whose slides come and go, and beside which others work on the same folder."""

from pathlib import Path

import pytest

from wsi.config import Config, EngineConfig
from wsi.engine import journal
from wsi.engine.recipe import Recipe
from wsi.engine.run import export_slides, run_slides
from wsi.errors import ArtifactError
from wsi.results import LOG, REVIEW, Record

RECIPE = Recipe(until="tissue", config=Config(engine=EngineConfig(jobs=1)))


def unseen(event: object) -> None:
    """Watch nothing."""


def test_run_that_cannot_read_the_decisions_does_nothing(tmp_path: Path) -> None:
    journal.append(tmp_path, Record(slide="a-1", path="a.svs", status="ok"))
    (tmp_path / REVIEW / LOG).mkdir(parents=True)
    before = (tmp_path / journal.JOURNAL).read_bytes()
    for start in (
        lambda: run_slides([], tmp_path, RECIPE, table=None, watch=unseen),
        lambda: export_slides(tmp_path, RECIPE, watch=unseen),
    ):
        with pytest.raises(ArtifactError, match=r"decisions\.jsonl: the decisions so far can't be read .*again"):
            start()
    assert (tmp_path / journal.JOURNAL).read_bytes() == before
    assert not (tmp_path / "predictions.csv").exists()

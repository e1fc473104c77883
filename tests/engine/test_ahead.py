"""The encoder is loaded while a slide's tissue is looked for, by those commands alone that need it."""

import threading
from pathlib import Path
from typing import Any, cast

import pytest

from tests import make
from wsi.config import Config
from wsi.engine import worker
from wsi.engine.bench import Bench
from wsi.engine.book import Book
from wsi.engine.decoder import Decoder
from wsi.engine.recipe import Stage, settle_recipe
from wsi.engine.stages import run_stage
from wsi.engine.worker import Networks
from wsi.errors import ModelError


class Surveying(Decoder):
    """A decoder whose survey waits until an encoder is being loaded, if one is expected."""

    def __init__(self, loads: threading.Event, *, waits: bool) -> None:
        super().__init__(Config().engine)
        self._loads, self._waits = loads, waits

    def survey(self, *args: Any, **more: Any) -> Any:
        assert self._loads.wait(30 if self._waits else 0) == self._waits
        return super().survey(*args, **more)


@pytest.mark.parametrize(("until", "is_loaded"), [("encode", True), ("tile", False)])
def test_encoder_is_loaded_while_tissue_is_found(
    until: Stage, is_loaded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = threading.Event()

    def load(_: Networks) -> str:
        loads.set()
        return "the encoder"

    monkeypatch.setattr(worker.Networks, "_load_encoder", load)
    slide = make.write_large(tmp_path / "slide.svs", 2_000, mpp=0.5)
    recipe = settle_recipe(Config.model_validate({"encode": {"encoder": "mobilenetv2-imagenet"}}), until)
    decoder, networks = Surveying(loads, waits=is_loaded), Networks(recipe, "cpu")
    (tmp_path / "slides").mkdir()
    try:
        bench = Bench(str(slide), "slide", "slide.svs", tmp_path / "slides", recipe, decoder, networks, lambda *_: None)
        entry = run_stage("tissue", Book(slide="slide", path="slide.svs"), bench)
    finally:
        decoder.stop()
    assert "tissue.geojson" in entry.artifacts
    assert loads.is_set() == is_loaded
    if is_loaded:
        assert cast("str", networks.encoder()) == "the encoder"


def test_what_keeps_an_encoder_from_loading_is_raised_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Networks) -> None:
        raise ModelError("no such weights")

    monkeypatch.setattr(worker.Networks, "_load_encoder", fails)
    networks = Networks(
        settle_recipe(Config.model_validate({"encode": {"encoder": "mobilenetv2-imagenet"}}), "encode"), "cpu"
    )
    networks.expect_encoder()
    for _ in range(2):
        with pytest.raises(ModelError, match="no such weights"):
            networks.encoder()

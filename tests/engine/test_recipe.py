"""What a run is to do: the scale of its tiles, and what must be here for it."""

import re
import shutil
from pathlib import Path

import pytest

from wsi.config import Config, EncodeConfig, TileConfig
from wsi.engine.finish import RUN, read_run, render_run
from wsi.engine.recipe import Recipe, settle_recipe
from wsi.errors import UsageError, WeightsError
from wsi.resources import shipped

GATED = Config(encode=EncodeConfig(encoder="uni2-h"))


@pytest.fixture(autouse=True)
def _nothing_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSI_MODELS", str(tmp_path))


def test_tiles_for_an_encoder_need_none_of_its_weights() -> None:
    recipe = settle_recipe(GATED, "tile")
    assert (recipe.tile_px, recipe.mpp) == (256, 0.5)
    with pytest.raises(WeightsError):
        settle_recipe(GATED, "encode")


def test_tiles_of_any_size_can_be_planned_whatever_the_model_takes() -> None:
    config = Config(model="tumor", tile=TileConfig(tile_px=256, mpp=0.5))
    recipe = settle_recipe(config, "tile")
    assert (recipe.tile_px, recipe.mpp) == (256, 0.5)
    with pytest.raises(UsageError, match="--encoder NAME"):
        settle_recipe(config, "encode")


def test_tiles_of_an_open_size_are_asked_for() -> None:
    with pytest.raises(UsageError, match="--tile-px and --tile-mpp"):
        settle_recipe(Config(tile=TileConfig(tile_px=256)), "tile")
    assert settle_recipe(Config(), "tissue").stages == ("tissue",)


def test_a_model_whose_terms_need_a_word_runs_only_with_it(tmp_path: Path) -> None:
    folder = shutil.copytree(shipped("models") / "tumor", tmp_path / "mine")
    card = (folder / "model.yaml").read_text()
    terms = "licence:\n  weights: CC-BY-NC-4.0\n  consent: true\n"
    (folder / "model.yaml").write_text(re.sub(r"licence:\n(  .*\n)+", terms, card))
    with pytest.raises(UsageError, match=r"model tumor: .*CC-BY-NC-4\.0.*--accept-licence CC-BY-NC-4\.0"):
        settle_recipe(Config(model=str(folder)), "export")
    with pytest.raises(UsageError, match="--accept-licence"):
        settle_recipe(Config(model=str(folder), accept_licence=["CC-BY-4.0"]), "export")
    said = settle_recipe(Config(model=str(folder), accept_licence=["CC-BY-NC-4.0"]), "export")
    assert said.model_id == "tumor"


def test_run_file_tells_each_setting_of_the_encoder_that_changes_its_features(tmp_path: Path) -> None:
    told = EncodeConfig(precision="bf16", backend="openvino", fused=False)
    (tmp_path / RUN).write_bytes(render_run(Recipe(until="encode", config=Config(encode=told), encoder_id="mine")))
    assert read_run(tmp_path).config.encode == told.model_copy(update={"encoder": "mine"})

"""What a run is to do: the scale of its tiles, and what must be here for it."""

from pathlib import Path

import pytest

from wsi.config import Config, EncodeConfig, TileConfig
from wsi.engine.recipe import settle_recipe
from wsi.errors import UsageError, WeightsError

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

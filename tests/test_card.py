"""Model folders by name, and the hash that says which model made a result."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.predict.folders import card, tensors, write_folder
from wsi.errors import ModelError
from wsi.model_folder import any_card, encoder_card, find_folder, folder_digest, model_card
from wsi.resources import shipped


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "tiny", tensors(), card())


def test_shipped_models_keep_the_schema_and_say_what_they_are_for() -> None:
    folders = [path.parent for path in shipped("models").glob("*/model.yaml")]
    assert folders
    for one in folders:
        read = any_card(one)
        assert read.id == one.name
        assert read.use.status == "research use only"
        assert all(figure.low is None or figure.low <= figure.value for figure in read.evaluation)


def test_path_of_a_folder_wins_over_the_catalog(folder: Path) -> None:
    assert find_folder(str(folder), "model") == folder


def test_shipped_name_is_found() -> None:
    assert find_folder("tumor", "model") == shipped("models") / "tumor"
    assert find_folder("uni", "encoder") == shipped("models") / "encoders" / "uni"


@pytest.mark.parametrize(("name", "told"), [("tumour", "Did you mean 'tumor'"), ("zzz", "Known: .*tumor")])
def test_wrong_name_offers_the_near_one_or_all(name: str, told: str) -> None:
    with pytest.raises(ModelError, match=rf"model '{name}': no such name .*{told}"):
        find_folder(name, "model")


@pytest.mark.parametrize("name", ["model.yaml", "weights.safetensors", "selftest.safetensors"])
def test_hash_of_a_model_changes_with_every_file_that_counts(name: str, folder: Path) -> None:
    before = folder_digest(folder)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert folder_digest(folder) != before


def test_hash_of_a_model_does_not_depend_on_its_place_or_its_card_for_people(folder: Path, tmp_path: Path) -> None:
    before = folder_digest(folder)
    (folder / "README.md").write_text("About this model.")
    assert folder_digest(folder) == before
    assert folder_digest(folder.rename(tmp_path / "elsewhere")) == before


def test_first_fault_of_a_card_is_told_with_its_line(folder: Path) -> None:
    text = (folder / "model.yaml").read_text().replace("  purpose:", "  porpose:")
    (folder / "model.yaml").write_text(text)
    line = next(i for i, one in enumerate(text.splitlines(), start=1) if "porpose" in one)
    with pytest.raises(ModelError, match=rf"model\.yaml:{line}: unknown key 'use\.porpose'\. Did you mean 'purpose'\?"):
        model_card(folder)


ENCODER: dict[str, Any] = {
    "kind": "encoder",
    "id": "mine",
    "title": "An encoder of one's own",
    "licence": {"weights": "CC0-1.0"},
    "architecture": {"name": "resnet18"},
    "weights": {"file": "weights.safetensors"},
    "input": {"tile_px": 224, "mpp": 0.5},
    "transform": {"crop_px": 224, "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]},
    "pooling": "model",
    "dim": 512,
}


def encoder_folder(folder: Path, **changes: Any) -> Path:
    content = {**ENCODER, **{key: one for key, one in changes.items() if "__" not in key}}
    for key, one in changes.items():
        if "__" in key:
            section, name = key.split("__")
            content[section] = {**content[section], name: one}
    (folder / "model.yaml").write_text(yaml.safe_dump(content))
    return folder


def test_card_of_an_encoder_of_ones_own_is_read(tmp_path: Path) -> None:
    assert encoder_card(encoder_folder(tmp_path)).transform.crop_px == 224


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"input__tile_px": 0}, "input.tile_px"),
        ({"transform__crop_px": 256}, "transform.crop_px 256 can't be cut from images of 224 px"),
        ({"transform__crop_px": 0}, "transform.crop_px"),
        ({"transform__resize_px": 0}, "transform.resize_px"),
        ({"transform__resize_px": 192}, "transform.crop_px 224 can't be cut from images of 192 px"),
        ({"transform__mean": [0.5, float("nan"), 0.5]}, "transform.mean.1"),
        ({"transform__std": [0.2, 0.0, 0.2]}, "transform.std.1"),
        ({"prefix_tokens": -1}, "prefix_tokens"),
        ({"dim": 0}, "dim"),
    ],
)
def test_numbers_that_no_encoder_can_have_are_refused(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=told):
        encoder_card(encoder_folder(tmp_path, **changes))


@pytest.mark.parametrize("name", ["../../mine", "/mine", "a\\b", ".."])
def test_fetched_weights_lie_among_the_encoders_whatever_a_card_is_called(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"id: .*by which a folder can be called"):
        encoder_card(encoder_folder(tmp_path, id=name))

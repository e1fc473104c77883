"""Model folders by name, and the hash that says which model made a result."""

from pathlib import Path

import pytest

from tests.predict.folders import card, tensors, write_folder
from wsi.errors import ModelError
from wsi.model_folder import any_card, find_folder, folder_digest, model_card
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

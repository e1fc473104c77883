"""Limits of what a picture must look like, on a shipped card: they are asked before anything is computed."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from wsi.card_image import AcceptsField
from wsi.engine.field_desk import prepare
from wsi.errors import ModalityError, UnreadableError

CARD = Path(__file__).parents[2] / "models" / "retina-dr" / "model.yaml"


@pytest.fixture(scope="module")
def accepts() -> AcceptsField:
    found = AcceptsField.model_validate(yaml.safe_load(CARD.read_text())["input"])
    assert found.looks
    return found


def draw(path: Path, *, is_round: bool) -> Path:
    """Write a smooth red picture of 300 x 300 px; `is_round`: a disk on black, as a fundus camera gives it."""
    y, x = np.indices((300, 300)) - 149.5
    light = 1 - 0.3 * np.hypot(y, x)[..., None] / 150
    px = np.array([190.0, 95.0, 45.0]) * light
    if is_round:
        px[np.hypot(y, x) > 140] = 0
    Image.fromarray(px.astype(np.uint8)).save(path)
    return path


def test_picture_within_the_limits_of_a_shipped_card_is_taken(accepts: AcceptsField, tmp_path: Path) -> None:
    found = prepare([draw(tmp_path / "a.png", is_round=True)], accepts, "a.png").facts.looks
    assert all(low <= found[name] <= high for name, (low, high) in accepts.looks.items())


@pytest.mark.parametrize("ground", [255, 128, 25])
@pytest.mark.parametrize("model", ["retina-dr", "retina-vessels", "skin-lesion"])
def test_plain_ground_is_as_good_as_black_for_eyes_and_no_skin(model: str, ground: int, tmp_path: Path) -> None:
    accepts = AcceptsField.model_validate(yaml.safe_load((CARD.parents[1] / model / "model.yaml").read_text())["input"])
    path = draw(tmp_path / "a.png", is_round=True)
    with Image.open(path) as image:
        px = np.array(image)
    px[px.max(axis=2) == 0] = ground
    Image.fromarray(px).save(path)
    if model == "skin-lesion":
        with pytest.raises(ModalityError, match="it has a round field of view"):
            prepare([path], accepts, "a.png")
    else:
        found = prepare([path], accepts, "a.png")
        assert found.facts.round_view is not None
        assert np.allclose(found.facts.round_view, [149.5, 149.5, 140], atol=1.5)


@pytest.mark.parametrize("model", ["retina-dr", "retina-vessels"])
def test_skin_behind_a_round_lens_is_no_eye(model: str, tmp_path: Path) -> None:
    accepts = AcceptsField.model_validate(yaml.safe_load((CARD.parents[1] / model / "model.yaml").read_text())["input"])
    y, x = np.indices((300, 300)) - 149.5
    px = np.array([215.0, 145.0, 120.0]) * (1 - 0.2 * np.hypot(y, x)[..., None] / 150)
    px[np.hypot(y, x) > 140] = 0
    Image.fromarray(px.astype(np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(ModalityError, match="too much blue"):
        prepare([tmp_path / "a.png"], accepts, "a.png")


def test_picture_beyond_one_limit_of_a_shipped_card_is_refused(accepts: AcceptsField, tmp_path: Path) -> None:
    with pytest.raises(
        ModalityError, match=r"a\.png: doesn.t look like .*: no round field of view was found \(round is 0, expected"
    ):
        prepare([draw(tmp_path / "a.png", is_round=False)], accepts, "a.png")


def test_twelve_bits_in_a_file_of_sixteen_are_told_what_to_do(tmp_path: Path) -> None:
    card = CARD.parents[1] / "chest-xray" / "model.yaml"
    accepts = AcceptsField.model_validate(yaml.safe_load(card.read_text())["input"])
    px = np.random.default_rng(2).integers(0, 4096, (300, 300)).astype(np.uint16)
    Image.fromarray(px).save(tmp_path / "a.png")
    with pytest.raises(ModalityError, match=r"almost black: .* \(from 12 to 16 bits: times 16\)"):
        prepare([tmp_path / "a.png"], accepts, "a.png")
    Image.fromarray(px * 16).save(tmp_path / "b.png")
    with pytest.raises(ModalityError) as told:
        prepare([tmp_path / "b.png"], accepts, "b.png")  # noise, in all of its bits
    assert "almost black" not in str(told.value)


def test_image_that_cannot_be_read_is_called_by_its_place_among_the_others(
    accepts: AcceptsField, tmp_path: Path
) -> None:
    (tmp_path / "IM0000").write_bytes(b"")
    with pytest.raises(UnreadableError, match=r"^scans/b/IM0000: the file is empty"):
        prepare([tmp_path / "IM0000"], accepts, "scans/b/IM0000")

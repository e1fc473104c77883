"""Cards of models of other images: a closed schema, told by line, beside the cards of slides."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.predict.folders import card as slide_card
from wsi.card import Accepts, AcceptsField, MaskCard, ModelCard
from wsi.errors import ModelError
from wsi.model_folder import any_card, model_card

INPUT: dict[str, Any] = {
    "axes": 2,
    "channels": ["R", "G", "B"],
    "looks": {"gray": [0.0, 0.9]},
    "preprocess": [{"op": "crop-to-field-of-view@1"}, {"op": "resize@1", "px": [64]}, {"op": "pad@1"}],
    "window": [64, 64],
}
ABOUT = {
    "kind": "model",
    "id": "drawn",
    "version": "1",
    "title": "Drawn",
    "licence": {"weights": "CC0-1.0"},
    "use": {"purpose": "tests", "not_for": ["patients"], "status": "research use only"},
    "weights_sha256": "0" * 64,
    "evaluation": [{"name": "none", "metric": "none", "value": 0.0}],
    "training": {
        "data": [],
        "data_licences": [],
        "data_digest": "",
        "split_digest": "",
        "seed": 1,
        "versions": {},
        "script": "",
    },
}
MASK: dict[str, Any] = {
    **ABOUT,
    "input": INPUT,
    "network": {"architecture": "unet", "axes": 2, "channels": 3, "classes": 2, "widths": [4, 8]},
    "structures": [{"name": "vessel", "color": [200, 0, 0], "unit": "share"}],
    "postprocess": [{"op": "least-size@1", "samples": 9}],
    "selftest": {"file": "selftest.safetensors", "samples": [12]},
}


def bag_card() -> dict[str, Any]:
    selftest = {"file": "selftest.safetensors", "probability": [0.5, 0.5]}
    sealed = {"weights_sha256": "0" * 64, "selftest": selftest}
    return {**slide_card(), **sealed, "input": INPUT, "encoder": {"name": "./encoder", "sha256": "0" * 64}}


def write(folder: Path, content: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "model.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return folder


def test_what_a_model_eats_is_told_by_its_input(tmp_path: Path) -> None:
    assert isinstance(model_card(write(tmp_path / "bag", bag_card())).input, AcceptsField)
    assert isinstance(model_card(write(tmp_path / "slide", {**bag_card(), **slide_card()})).input, Accepts)
    assert isinstance(any_card(write(tmp_path / "mask", MASK)), MaskCard)


def test_dense_model_has_no_head(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="drawn marks structures and has no head"):
        model_card(write(tmp_path / "mask", MASK))


def test_a_step_is_what_its_name_says() -> None:
    read = MaskCard.model_validate(MASK)
    assert [step.op for step in read.input.preprocess] == ["crop-to-field-of-view@1", "resize@1", "pad@1"]
    assert MaskCard.model_validate(read.model_dump(mode="json")) == read


def test_field_card_of_bags_comes_back_from_yaml() -> None:
    read = ModelCard.model_validate(bag_card())
    assert ModelCard.model_validate(yaml.safe_load(yaml.safe_dump(read.model_dump(mode="json")))) == read


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("input", "windw"), [4, 4], r":\d+: unknown key 'input.windw'. Did you mean 'window'"),
        (("input", "preprocess", 1, "pixels"), 4, r":\d+: unknown key 'input.preprocess.1.pixels'."),
        (("input", "preprocess", 1, "op"), "resize@2", r"input.preprocess.1.*resize@1"),
        (("input", "preprocess", 1, "side"), "exacty", r":\d+: input.preprocess.1.side: .*'exacty'"),
        (("input", "window"), [4, 4, 4], "window has one number an axis, 2, found 3"),
        (("input", "looks"), {"gray": [1, 0]}, "least 1.0 is above most 0.0"),
        (("input", "axes"), 4, "input.axes"),
        (("network", "axes"), 3, "network has 3 axes, the input 2"),
        (("network", "members"), 17, r":\d+: network.members: .*17"),
        (("network", "flips"), [0, 2], "flips names each of the axes 0 to 1 at most once"),
        (("network", "flips"), [1, 1], "flips names each of the axes 0 to 1 at most once"),
        (("structures", 0, "color"), [256, 0, 0], r":\d+: structures.0.color.0"),
        (("structures", 0, "unit"), "ml", "vessel: an amount in ml, but pictures are told in px, mm2 or share"),
        (("network", "classes"), 3, "1 structures and the background are 2 classes"),
        (("postprocess", 0, "structures"), ["bone"], "postprocess names bone"),
        (("selftest", "samples"), [1, 2], "selftest.samples must have 1"),
        (("selftest", "file"), "../x.safetensors", "selftest.file"),
        (("head",), {}, "unknown key 'head'"),
    ],
)
def test_a_fault_is_told_by_its_place(path: tuple[Any, ...], value: object, told: str, tmp_path: Path) -> None:
    content: Any = yaml.safe_load(yaml.safe_dump(MASK))
    at = content
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    with pytest.raises(ModelError, match=told):
        any_card(write(tmp_path / "bad", content))


def test_line_of_a_fault_inside_a_step_is_the_steps_own(tmp_path: Path) -> None:
    folder = write(tmp_path / "bad", MASK)
    text = (folder / "model.yaml").read_text().replace("    - 64\n", "    - many\n", 1)
    (folder / "model.yaml").write_text(text)
    line = text.splitlines().index("    - many") + 1
    with pytest.raises(ModelError, match=rf"model.yaml:{line}: input.preprocess.1.px.0: .*'many'"):
        any_card(folder)

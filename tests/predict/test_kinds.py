"""Model folders of every head and every kind of target: loaded with the same care, and judged in the same way."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from tests.predict import any_head, folders
from tests.predict.test_hostile import edit_card, put_weights, refused
from wsi.errors import ModelError, WeightsError
from wsi.mil import HEADS, OrderedCuts
from wsi.predict import Verdict, judge
from wsi.predict.model import load_model

ALL = [
    (name, kind) for name, head in HEADS.items() for kind, told in any_head.HEADS.items() if told["type"] in head.kinds
]
FEATURES = np.random.default_rng(3).normal(0, 1, (30, folders.DIM)).astype(np.float32)


def judged(folder: Path) -> Verdict:
    return judge(load_model(folder), folders.coords(len(FEATURES)), FEATURES)


@pytest.mark.parametrize(("name", "kind"), ALL)
def test_a_folder_of_any_head_and_kind_says_what_its_logits_mean(tmp_path: Path, name: str, kind: str) -> None:
    head = any_head.draw(any_head.spec_of(name, kind))
    found = judged(any_head.write(tmp_path, [head], kind))
    with torch.no_grad():
        logits, attention = head(torch.from_numpy(FEATURES)[None])
    told = any_head.shown_by_hand(logits[0].double().numpy(), kind)
    assert [c.probability for c in found.classes] == pytest.approx(told.get("probability", []), abs=1e-5)
    if "value" in told:
        assert found.value is not None
        assert found.value.value == pytest.approx(told["value"], rel=1e-5, abs=1e-5)
        shares = [] if found.survival is None else found.survival.shares
        assert shares == pytest.approx(told["curve"], abs=1e-5)
        assert (found.grade, found.confidence, found.positive, found.threshold) == (None, None, None, None)
    else:
        assert found.value is None
        assert found.grade is not None
    assert np.allclose(found.scores.attention, attention[0].numpy(), atol=1e-5)


@pytest.mark.parametrize("kind", any_head.HEADS)
def test_members_vote_with_the_mean_of_what_they_say(tmp_path: Path, kind: str) -> None:
    heads = [any_head.draw(any_head.spec_of("mean", kind), seed=i) for i in range(3)]
    found = judged(any_head.write(tmp_path, heads, kind))
    with torch.no_grad():
        each = [h(torch.from_numpy(FEATURES)[None])[0][0].double().numpy() for h in heads]
    told = [any_head.shown_by_hand(logits, kind) for logits in each]
    if found.value is None:
        expected = np.mean([one["probability"] for one in told], axis=0)
        assert [c.probability for c in found.classes] == pytest.approx(expected.tolist(), abs=1e-5)
    else:
        assert found.value.value == pytest.approx(np.mean([one["value"] for one in told]), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("kind", ["regression", "cox", "discrete-time"])
def test_a_tiles_score_is_the_value_of_it_alone(tmp_path: Path, kind: str) -> None:
    head = any_head.draw(any_head.spec_of("gated-attention", kind))
    found = judged(any_head.write(tmp_path, [head], kind))
    with torch.no_grad():
        alone = [head(torch.from_numpy(tile)[None, None])[0][0].double().numpy() for tile in FEATURES]
    expected = [any_head.shown_by_hand(logits, kind)["value"] for logits in alone]
    assert np.allclose(found.scores.score, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "name", "unit", "ends"),
    [
        ("regression", "Ki-67 index", "%", (4.0, 36.0)),
        ("cox", "log hazard of death", "", (-2.0, 2.0)),
        ("discrete-time", "risk of death within 24 months", "", (0.0, 1.0)),
    ],
)
def test_a_value_says_what_it_is(tmp_path: Path, kind: str, name: str, unit: str, ends: tuple[float, float]) -> None:
    value = judged(any_head.write(tmp_path, [any_head.draw(any_head.spec_of("max", kind))], kind)).value
    assert value is not None
    assert (value.name, value.unit, (value.low, value.high)) == (name, unit, ends)


def test_a_cox_model_without_a_baseline_shows_no_curve(tmp_path: Path) -> None:
    folder = any_head.write(tmp_path, [any_head.draw(any_head.spec_of("mean", "cox"))], "cox")
    edit_card(folder, head__survival={"model": "cox", "event": "death", "unit": "months"})
    found = judged(folder)
    assert found.value is not None
    assert found.survival is None


@pytest.mark.parametrize(
    ("bias", "grade", "confidence"), [([3, -2, 2], "MSI + KRAS", 0.8808), ([-1, -2, -3], "none", 0.7311)]
)
def test_a_slide_gets_every_likely_label(tmp_path: Path, bias: list[float], grade: str, confidence: float) -> None:
    head = any_head.draw(any_head.spec_of("mean", "multilabel"))
    assert isinstance(head.classifier, torch.nn.Linear)
    with torch.no_grad():
        head.classifier.weight.zero_()
        head.classifier.bias.copy_(torch.tensor(bias))
    found = judged(any_head.write(tmp_path, [head], "multilabel"))
    assert (found.grade, found.positive) == (grade, "KRAS")
    assert " + ".join(found.labels) == (grade if found.labels else "")
    assert found.confidence == pytest.approx(confidence, abs=1e-4)


@pytest.mark.parametrize("name", HEADS)
def test_a_missing_or_wrongly_shaped_tensor_of_any_head_is_named(tmp_path: Path, name: str) -> None:
    folder = any_head.write(tmp_path, [any_head.draw(any_head.spec_of(name, "binary"))], "binary")
    weights = load_file(folder / "weights.safetensors")
    for tensor in weights:
        for part, told in (({}, "is missing|missing"), ({tensor: torch.ones(7, 9, 2)}, "shape")):
            rest = {n: t for n, t in weights.items() if n != tensor}
            save_file(rest | part, folder / "changed")
            put_weights(folder, (folder / "changed").read_bytes())
            refused(folder, told)


@pytest.mark.parametrize("name", HEADS)
def test_a_number_of_any_head_that_is_not_finite_is_refused(tmp_path: Path, name: str) -> None:
    folder = any_head.write(tmp_path, [any_head.draw(any_head.spec_of(name, "binary"))], "binary")
    weights = load_file(folder / "weights.safetensors")
    last = max(weights)
    weights[last].view(-1)[-1] = float("nan")
    save_file(weights, folder / "changed")
    put_weights(folder, (folder / "changed").read_bytes())
    refused(folder, f"{last} holds NaN or infinity")


def test_cuts_that_rise_are_found_in_every_layer_of_them(tmp_path: Path) -> None:
    head = any_head.draw(any_head.spec_of("dsmil", "ordinal"))
    assert isinstance(head.instance, OrderedCuts)
    with torch.no_grad():
        head.instance.bias.copy_(torch.tensor([0.0, 1.0, -1.0]))
    folder = any_head.write(tmp_path, [head], "ordinal")
    refused(folder, "instance.bias must fall from grade to grade", WeightsError)


@pytest.mark.parametrize(
    ("kind", "changes", "told"),
    [
        ("binary", {"head__aggregate": "gated-atention"}, r"no head is called 'gated-atention'.*Did you mean"),
        ("binary", {"head__aggregate": "../x"}, "head.aggregate"),
        ("binary", {"head__aggregate": "transmil", "head__heads": 3}, "hidden 8 can't be shared by 3 heads"),
        ("binary", {"head__heads": 0}, "head.heads"),
        ("regression", {"head__quantity": None}, "quantity is for regression heads and must be given there"),
        ("binary", {"head__quantity": {"name": "x"}}, "quantity is for regression heads.*this one is binary"),
        ("regression", {"head__classes": [{"name": "x", "color": [0, 0, 0]}]}, "a regression head has no classes"),
        (
            "multiclass",
            {"head__classes": [{"name": "x", "color": [0, 0, 0]}]},
            "a multiclass head has at least 2 classes",
        ),
        ("multiclass", {"head__link": "corn"}, "link corn is for ordinal heads"),
        ("cox", {"head__survival__times": [2.0, 1.0, 3.0]}, "times must rise"),
        ("cox", {"head__survival__baseline": [0.4, 0.7, 0.9]}, "baseline must fall"),
        ("cox", {"head__survival__baseline": [0.4]}, "a baseline for each time, found 1 of 3"),
        ("discrete-time", {"head__survival__times": []}, "a discrete-time head has times"),
        ("discrete-time", {"head__survival__times": [3.0]}, "has shape .*4.*, this head expects .*2"),
        ("regression", {"head__quantity__scale": 0.0}, "head.quantity.scale"),
        ("regression", {"selftest__value": None}, "selftest.value is for heads without classes"),
        ("binary", {"selftest__value": 0.5}, "selftest.value is for heads without classes, this one has 2"),
        ("regression", {"referral": {"low": 0.1, "high": 0.2, "reason": "x"}}, "referral is a band of probabilities"),
        ("cox", {"calibration": {"method": "temperature", "temperature": 2.0}}, "calibration is for log odds"),
        ("regression", {"thresholds": [{"name": "x", "value": 0.5, "chosen_by": "x"}]}, "thresholds are for binary"),
        ("regression", {"selftest__value": 99.0}, "the selftest gives"),
    ],
)
def test_a_card_that_no_model_can_keep_is_refused(
    tmp_path: Path, kind: str, changes: dict[str, Any], told: str
) -> None:
    folder = any_head.write(tmp_path, [any_head.draw(any_head.spec_of("mean", kind))], kind)
    edit_card(folder, **changes)
    with pytest.raises(ModelError, match=told):
        load_model(folder)


def test_a_head_for_other_kinds_than_the_cards_is_refused(tmp_path: Path) -> None:
    folder = any_head.write(tmp_path, [any_head.draw(any_head.spec_of("clam-mb", "multiclass"))], "multiclass")
    edit_card(folder, head__type="ordinal")
    refused(folder, "a clam-mb head is for binary, multiclass, multilabel targets, found ordinal", ModelError)


def test_a_card_from_before_there_were_other_kinds_still_loads(tmp_path: Path) -> None:
    folder = folders.write_folder(tmp_path, folders.tensors(), folders.card())
    assert set(yaml.safe_load((folder / "model.yaml").read_text())["head"]) == {"type", "classes"}
    assert load_model(folder).card.head.aggregate == "gated-attention"

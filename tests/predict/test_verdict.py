"""Grades, thresholds, and the slides that a person must see.

The head of these tests takes the mean of the first of two features as its log odds, so every expected value is plain.
"""

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.predict import folders
from wsi.errors import EmptyBagError, UsageError
from wsi.predict import Verdict, judge
from wsi.predict.model import LoadedModel, load_model

MANY = 20
BALANCED = {"name": "balanced", "value": 0.5, "chosen_by": "hand"}
SENSITIVE = {"name": "sensitive", "value": 0.2, "chosen_by": "hand"}
BAND = {"low": 0.3, "high": 0.6, "reason": "the model is often wrong here"}
RULE = {"method": "mahalanobis", "limit": 2.0, "chosen_by": "hand"}


def plain_model(folder: Path, kind: str = "binary", **changes: object) -> LoadedModel:
    """Return a model whose embedding is its 2 features; with a rule, feature 2 is its distance in units of 0.5."""
    classifier = {
        "binary": ([[1, 0]], [0]),
        "multiclass": ([[0, 0], [1, 0], [0, 1]], [0, 0, 0]),
        "ordinal": ([[1, 0]], [2, 0, -2]),
    }[kind]
    weights: folders.Arrays = {
        "norm.mean": np.zeros(2, np.float32),
        "norm.std": np.ones(2, np.float32),
        "embed.weight": np.eye(2, dtype=np.float32),
        "embed.bias": np.zeros(2, np.float32),
        "classifier.weight": np.array(classifier[0], np.float32),
        "classifier.bias": np.array(classifier[1], np.float32),
    }
    if "out_of_distribution" in changes:
        weights["ood.mean"] = np.zeros(2, np.float32)
        weights["ood.axes"] = np.array([[0, 1]], np.float32)
        weights["ood.scale"] = np.array([0.5], np.float32)
    head = {"aggregate": "mean", "activation": "identity"}
    fields = folders.card(kind, head=head, **changes)
    features = np.array([[0.3, 0.1]], np.float32)
    told = folders.expected_probabilities(weights, features, {**fields, "head": {**fields["head"], **head}})
    fields["selftest"] = {"file": "selftest.safetensors", "probability": told.tolist()}
    return load_model(folders.write_folder(folder, weights, fields, selftest={"features": features}))


def bag_of(probability: float, *, second: float = 0.0, n: int = MANY) -> NDArray[np.float32]:
    """Return features `(n, 2)` whose first has the log odds of `probability` as its mean."""
    spread = np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
    first = math.log(probability / (1 - probability)) + spread
    return np.stack([first, np.full(n, second)], axis=1).astype(np.float32)


def verdict(model: LoadedModel, features: NDArray[np.float32], threshold: str | None = None) -> Verdict:
    return judge(model, folders.coords(len(features)), features, threshold=threshold)


def test_a_verdict_holds_the_probabilities_and_what_each_tile_is_by_itself(tmp_path: Path) -> None:
    features = bag_of(0.8)
    found = verdict(plain_model(tmp_path, thresholds=[BALANCED]), features)
    assert [(c.name, c.color) for c in found.classes] == [("benign", [0, 2, 3]), ("malignant", [1, 2, 3])]
    assert [c.probability for c in found.classes] == pytest.approx([0.2, 0.8], abs=1e-6)
    assert (found.positive, found.grade, found.threshold) == ("malignant", "malignant", 0.5)
    assert found.confidence == pytest.approx(0.8, abs=1e-6)
    assert (found.refer, found.refer_reason, found.flags, found.out_of_distribution) == (False, "", (), None)
    assert np.array_equal(found.scores.coords, folders.coords(MANY))
    assert found.scores.attention.tolist() == pytest.approx([1 / MANY] * MANY)
    assert np.allclose(found.scores.score, 1 / (1 + np.exp(-features[:, 0])), atol=1e-6)
    assert {found.scores.attention.dtype, found.scores.score.dtype} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("probability", "name", "grade", "confidence"),
    [
        (0.7, None, "malignant", 0.7),
        (0.3, None, "benign", 0.7),
        (0.3, "balanced", "benign", 0.7),
        (0.3, "sensitive", "malignant", 0.3),
        (0.1, "sensitive", "benign", 0.9),
    ],
)
def test_the_grade_is_by_the_threshold_named_or_the_first(
    tmp_path: Path, probability: float, name: str | None, grade: str, confidence: float
) -> None:
    found = verdict(plain_model(tmp_path, thresholds=[BALANCED, SENSITIVE]), bag_of(probability), name)
    assert found.grade == grade
    assert found.confidence == pytest.approx(confidence, abs=1e-6)
    assert found.threshold == (0.2 if name == "sensitive" else 0.5)


def test_a_probability_at_the_threshold_is_the_positive_class(tmp_path: Path) -> None:
    features = np.zeros((MANY, 2), np.float32)
    assert verdict(plain_model(tmp_path, thresholds=[BALANCED]), features).grade == "malignant"


def test_the_threshold_is_on_the_positive_class_when_that_is_the_first(tmp_path: Path) -> None:
    model = plain_model(tmp_path, thresholds=[SENSITIVE])
    head = model.card.head.model_copy(update={"positive": "benign"})
    model.card = model.card.model_copy(update={"head": head})
    assert verdict(model, bag_of(0.7)).grade == "benign"  # P(benign) = 0.3, at least 0.2
    assert verdict(model, bag_of(0.9)).grade == "malignant"
    assert verdict(model, bag_of(0.7)).scores.score.mean() == pytest.approx(0.3, abs=0.02)


def test_an_unknown_threshold_is_refused_with_the_near_names(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"no threshold 'sensitiv'; known: balanced, sensitive\. Did you mean 'sensitive'"
    ):
        verdict(plain_model(tmp_path, thresholds=[BALANCED, SENSITIVE]), bag_of(0.5), "sensitiv")


@pytest.mark.parametrize(
    ("kind", "features", "grade"),
    [
        ("binary", [0.1, 0.0], "malignant"),
        ("multiclass", [-1.0, -2.0], "a"),
        ("multiclass", [2.0, 1.0], "b"),
        ("multiclass", [2.0, 3.0], "c"),
        ("ordinal", [-4.0, 0.0], "low"),
        ("ordinal", [-1.0, 0.0], "mid"),
        ("ordinal", [1.0, 0.0], "high"),
        ("ordinal", [4.0, 0.0], "top"),
    ],
)
def test_without_a_threshold_the_likeliest_class_is_the_grade(
    tmp_path: Path, kind: str, features: list[float], grade: str
) -> None:
    found = verdict(plain_model(tmp_path, kind), np.tile(np.array(features, np.float32), (MANY, 1)))
    assert found.grade == grade
    assert found.threshold is None
    assert found.confidence == max(c.probability for c in found.classes)
    assert sum(c.probability for c in found.classes) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(("probability", "refer"), [(0.29, False), (0.31, True), (0.59, True), (0.61, False)])
def test_a_slide_within_the_band_is_referred_for_the_cards_reason(
    tmp_path: Path, probability: float, refer: bool
) -> None:
    found = verdict(plain_model(tmp_path, thresholds=[BALANCED], referral=BAND), bag_of(probability))
    assert found.refer is refer
    assert found.refer_reason == (BAND["reason"] if refer else "")
    assert found.flags == ()


@pytest.mark.parametrize(("second", "share"), [(0.0, 0.0), (0.5, 0.5), (-0.99, 0.99), (1.01, 1.01), (-5.0, 5.0)])
def test_a_slide_beyond_the_limit_is_flagged_and_referred(tmp_path: Path, second: float, share: float) -> None:
    found = verdict(plain_model(tmp_path, out_of_distribution=RULE), bag_of(0.9, second=second))
    assert found.out_of_distribution == pytest.approx(share, abs=1e-6)
    assert found.refer is (share > 1)
    assert found.flags == (("out-of-distribution",) if share > 1 else ())
    assert found.refer_reason == ("the slide is unlike those the model learned from" if share > 1 else "")


@pytest.mark.parametrize(("n", "words"), [(1, "only 1 tile of tissue"), (7, "only 7 tiles of tissue"), (8, "")])
def test_a_slide_of_few_tiles_is_graded_but_referred(tmp_path: Path, n: int, words: str) -> None:
    found = verdict(plain_model(tmp_path), bag_of(0.9, n=n))
    assert found.grade == "malignant"
    assert (found.refer, found.refer_reason, found.flags) == (bool(words), words, ("few-tiles",) if words else ())


def test_tissue_that_is_mostly_flawed_is_referred(tmp_path: Path) -> None:
    quality = {"blur": 0.62, "pen": 0.5, "fold": 0.01}
    found = judge(plain_model(tmp_path), folders.coords(MANY), bag_of(0.9), quality=quality)
    assert (found.refer, found.flags) == (True, ("blur",))
    assert found.refer_reason == "62% of the tissue is out of focus"


def test_all_reasons_are_told(tmp_path: Path) -> None:
    model = plain_model(tmp_path, referral=BAND, out_of_distribution=RULE)
    found = verdict(model, bag_of(0.45, second=9.0, n=2))
    assert found.refer_reason == (
        "the slide is unlike those the model learned from; the model is often wrong here; only 2 tiles of tissue"
    )
    assert found.flags == ("out-of-distribution", "few-tiles")


def test_a_slide_without_tiles_gets_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(EmptyBagError, match="nothing to grade"):
        verdict(plain_model(tmp_path), np.zeros((0, 2), np.float32))

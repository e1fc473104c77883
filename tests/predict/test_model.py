"""Loaded models against sums written out in numpy."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.predict import folders
from tests.traps import environment
from wsi.errors import ArtifactError, EmptyBagError, EncoderMismatchError, ModelError
from wsi.predict.model import LoadedModel, load_model
from wsi.predict.selftest import check_embedding


def loaded(
    folder: Path, kind: str = "binary", weights: folders.Arrays | None = None, **changes: object
) -> tuple[LoadedModel, folders.Arrays, dict[str, Any]]:
    fields = folders.card(kind, **changes)
    weights = folders.tensors(kind) if weights is None else weights
    return load_model(str(folders.write_folder(folder, weights, fields))), weights, fields


@pytest.mark.parametrize("kind", ["binary", "multiclass", "ordinal"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "identity"])
@pytest.mark.parametrize("gated", [True, False], ids=["gated-attention", "mean"])
def test_a_bag_is_read_as_the_formulas_say(tmp_path: Path, kind: str, activation: str, gated: bool) -> None:
    head = {"activation": activation, "aggregate": "gated-attention" if gated else "mean"}
    model, weights, _ = loaded(tmp_path, kind, folders.tensors(kind, gated=gated), head=head)
    features = folders.bag(40, seed=3)
    logits, attention, tile_logits = folders.read_by_hand(weights, features, kind, activation)
    reading = model.read(features)
    assert np.allclose(reading.probabilities, folders.probabilities_by_hand(logits, kind), atol=1e-5)
    assert np.allclose(reading.attention, attention, atol=1e-6)
    assert np.allclose(reading.tile_scores, folders.probabilities_by_hand(tile_logits, kind)[:, -1], atol=1e-5)
    assert reading.probabilities.sum() == pytest.approx(1, abs=1e-9)
    assert reading.attention.sum() == pytest.approx(1, abs=1e-6)


def test_members_vote_with_the_mean_of_their_probabilities_and_attention(tmp_path: Path) -> None:
    parts = [folders.tensors(prefix=f"members.{i}.", seed=i) for i in range(3)]
    weights = {name: array for part in parts for name, array in part.items()}
    calibration = {"method": "temperature", "temperature": 0.4, "bias": -0.7}
    model, _, fields = loaded(tmp_path, weights=weights, head={"members": 3}, calibration=calibration)
    features = folders.bag(12, seed=9)
    alone = [folders.read_by_hand(folders.tensors(seed=i), features, "binary") for i in range(3)]
    reading = model.read(features)
    assert np.allclose(reading.probabilities, folders.expected_probabilities(weights, features, fields), atol=1e-5)
    assert np.allclose(reading.attention, np.mean([a for _, a, _ in alone], axis=0), atol=1e-6)
    tiles = np.mean([folders.sigmoid(t[:, 0] / 0.4 - 0.7) for _, _, t in alone], axis=0)
    assert np.allclose(reading.tile_scores, tiles, atol=1e-5)


def test_tiles_have_a_calibration_of_their_own_where_the_card_gives_one(tmp_path: Path) -> None:
    calibration = {"method": "temperature", "temperature": 0.5, "bias": 1.0, "tile_temperature": 3.0, "tile_bias": -2.0}
    model, weights, fields = loaded(tmp_path, calibration=calibration)
    features = folders.bag(9, seed=2)
    _, _, tile_logits = folders.read_by_hand(weights, features, "binary")
    reading = model.read(features)
    assert np.allclose(reading.tile_scores, folders.sigmoid(tile_logits[:, 0] / 3 - 2), atol=1e-5)
    assert np.allclose(reading.probabilities, folders.expected_probabilities(weights, features, fields), atol=1e-5)


@pytest.mark.parametrize(("positive", "place"), [("a", 0), ("b", 1), (None, 2)])
def test_tile_scores_are_of_the_positive_class(tmp_path: Path, positive: str | None, place: int) -> None:
    model, weights, _ = loaded(tmp_path, "multiclass", head={"positive": positive})
    features = folders.bag(9, seed=2)
    _, _, tile_logits = folders.read_by_hand(weights, features, "multiclass")
    expected = folders.probabilities_by_hand(tile_logits, "multiclass")[:, place]
    assert np.allclose(model.read(features).tile_scores, expected, atol=1e-5)


def test_calibration_keeps_the_order_of_all_slides(tmp_path: Path) -> None:
    plain, _, _ = loaded(tmp_path / "plain")
    calibration = {"method": "temperature", "temperature": 3.0, "bias": -1.5}
    calibrated, _, _ = loaded(tmp_path / "calibrated", calibration=calibration)
    bags = [folders.bag(6, seed=i) for i in range(200)]
    before, after = ([model.read(b).probabilities[1] for b in bags] for model in (plain, calibrated))
    assert np.array_equal(np.argsort(before), np.argsort(after))
    assert not np.allclose(before, after, atol=0.05)


def test_the_distance_is_that_of_the_mean_feature_in_the_axes(tmp_path: Path) -> None:
    weights = folders.tensors() | folders.familiar(axes=2)
    rule = {"method": "mahalanobis", "limit": 2.0, "chosen_by": "hand"}
    model, _, _ = loaded(tmp_path, weights=weights, out_of_distribution=rule)
    mean, axes, scale = (weights[f"ood.{name}"].astype(np.float64) for name in ("mean", "axes", "scale"))
    # 3 and 4 standard deviations along the two axes: sqrt((9 + 16) / 2) = 5 / sqrt(2)
    center = mean + 3 * scale[0] * axes[0] - 4 * scale[1] * axes[1]
    spread = np.array([[1.0], [-1.0]]) * np.arange(folders.DIM)
    assert model.distance((center + spread).astype(np.float32)) == pytest.approx(5 / np.sqrt(2), rel=1e-5)


def test_what_lies_outside_of_the_axes_is_the_distance_of_the_residual(tmp_path: Path) -> None:
    weights = folders.tensors() | folders.familiar(axes=2)
    rule = {"method": "residual", "limit": 2.0, "chosen_by": "hand"}
    model, _, _ = loaded(tmp_path, weights=weights, out_of_distribution=rule)
    mean, axes = (weights[f"ood.{name}"].astype(np.float64) for name in ("mean", "axes"))
    outside = np.linalg.svd(axes)[2][2:4]  # two directions that the axes know nothing of
    bag = (mean + 40 * axes[0] - 70 * axes[1] + 3 * outside[0] + 4 * outside[1])[None].astype(np.float32)
    assert model.distance(bag) == pytest.approx(5, rel=1e-3)


def test_a_model_without_a_rule_measures_no_distance(tmp_path: Path) -> None:
    assert loaded(tmp_path)[0].distance(folders.bag(3)) is None


def test_features_of_another_width_are_refused(tmp_path: Path) -> None:
    model = loaded(tmp_path)[0]
    with pytest.raises(EncoderMismatchError, match=r"reads features of 6, found \(4, 7\); encode with nobodys-encoder"):
        model.read(np.zeros((4, 7), np.float32))


def test_a_bag_without_tiles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmptyBagError):
        loaded(tmp_path)[0].read(folders.bag(0))


def test_features_that_overflow_the_head_give_no_probability(tmp_path: Path) -> None:
    features = folders.bag(5)
    features[2] = np.float32(3e38)
    with pytest.raises(ArtifactError, match=r"3e\+38.*encode the slide again"):
        loaded(tmp_path)[0].read(features)


def test_the_result_does_not_depend_on_the_threads(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wide = {
        "norm.mean": (640,),
        "embed.weight": (256, 640),
        "embed.bias": (256,),
        "classifier.weight": (1, 256),
        "classifier.bias": (1,),
    }
    weights: folders.Arrays = {name: rng.normal(0, 0.05, shape).astype(np.float32) for name, shape in wide.items()}
    weights["norm.std"] = np.ones(640, np.float32)
    features = rng.normal(0, 1, (7, 640)).astype(np.float32)
    fields = folders.card(head={"aggregate": "mean"})
    expected = folders.expected_probabilities(weights, features, fields).tolist()
    fields["selftest"] = {"file": "selftest.safetensors", "probability": expected}
    folder = folders.write_folder(tmp_path, weights, fields, selftest={"features": features})
    model, before, found = load_model(str(folder)), torch.get_num_threads(), set()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            reading = model.read(features)
            found.add(reading.probabilities.tobytes() + reading.tile_scores.tobytes())
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert len(found) == 1


class Embedder:
    """Embeds a tile as its mean color, twice over."""

    def encode(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.tile(tiles.mean(axis=(1, 2)), 2).astype(np.float32)


@pytest.mark.parametrize(("norm", "good"), [(5.0, True), (5.004, True), (5.2, False), (0.5, False)])
def test_an_encoder_that_embeds_the_example_otherwise_is_found(tmp_path: Path, norm: float, good: bool) -> None:
    weights, fields = folders.tensors(), folders.card()
    tile = np.zeros((224, 224, 3), np.uint8)
    tile[..., 0], tile[..., 2] = 3, 4  # mean color (3, 0, 4), of norm 5; twice: 5 sqrt(2)
    told = {
        "file": "selftest.safetensors",
        "embedding_norm": norm * 2**0.5,
        "probability": folders.expected_probabilities(weights, folders.bag(5), fields).tolist(),
    }
    example: folders.Arrays = {"features": folders.bag(5), "tile": tile}
    folder = folders.write_folder(tmp_path, weights, {**fields, "selftest": told}, selftest=example)
    model = load_model(folder)
    if good:
        assert check_embedding(model.card, folder, Embedder())
    else:
        with pytest.raises(ModelError, match=r"embeds the tile with norm 7\.07107, the card says"):
            check_embedding(model.card, folder, Embedder())


def test_without_an_example_tile_there_is_no_embedding_to_check(tmp_path: Path) -> None:
    model = loaded(tmp_path)[0]
    assert not check_embedding(model.card, tmp_path, Embedder())


def test_importing_predict_brings_no_torch(tmp_path: Path) -> None:
    code = "import sys, wsi.predict; sys.exit('torch' in sys.modules or 'wsi.mil' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=environment(tmp_path), check=False).returncode == 0

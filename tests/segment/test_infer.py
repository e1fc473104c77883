"""Claims about reading a whole field in windows, and about bringing the mask back to where it was read."""

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from wsi.field import Field, picture_field, volume_field
from wsi.segment.grid import labels_on, labels_under
from wsi.segment.infer import Reading, probabilities
from wsi.segment.loss import IGNORED
from wsi.segment.unet import UNet, UNetSpec
from wsi.windows import plan_windows


class Pointwise(UNet):
    """A network that says of each sample its own value, whatever lies around it."""

    def __init__(self, axes: int) -> None:
        super().__init__(UNetSpec(axes, 1, 2, widths=(1, 1), stem=1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat((torch.zeros_like(images), images), dim=1)


class Lopsided(Pointwise):
    """Says of each sample the value of its neighbor on one side."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images.roll(1, dims=-1))


def drawn(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(1, *shape)).astype(np.float32)


def sigmoid(values: NDArray[np.float32]) -> NDArray[Any]:
    return 1 / (1 + np.exp(-values.astype(np.float64)))


@pytest.mark.parametrize("shape", [(37, 61), (8, 8), (5, 90), (17, 9, 23)])
@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_windows_say_what_one_look_at_the_whole_field_says(shape: tuple[int, ...], overlap: float) -> None:
    values = drawn(shape)
    found = probabilities(Pointwise(len(shape)), values, Reading((16,) * len(shape), overlap, batch=3))
    assert found.shape == (2, *shape)
    assert np.allclose(found[1], sigmoid(values[0]), atol=1e-5)
    assert np.allclose(found.sum(axis=0), 1, atol=1e-5)


def test_field_smaller_than_a_window_is_read_whole() -> None:
    values = drawn((5, 7))
    assert np.allclose(probabilities(Pointwise(2), values, Reading((64, 64)))[1], sigmoid(values[0]), atol=1e-5)


def test_mirrored_views_of_a_symmetric_network_change_nothing() -> None:
    values = drawn((24, 24))
    plain = probabilities(Pointwise(2), values, Reading(None))
    assert np.allclose(probabilities(Pointwise(2), values, Reading(None, flips=(0, 1))), plain, atol=1e-6)


def test_mirrored_views_make_a_lopsided_network_even() -> None:
    values = drawn((8, 8))
    mirrored = values[..., ::-1].copy()
    found = probabilities(Lopsided(2), values, Reading(None, flips=(1,)))
    assert np.allclose(found, probabilities(Lopsided(2), mirrored, Reading(None, flips=(1,)))[..., ::-1], atol=1e-6)
    plain = probabilities(Lopsided(2), values, Reading(None))
    assert not np.allclose(plain, probabilities(Lopsided(2), mirrored, Reading(None))[..., ::-1], atol=1e-2)


def test_what_no_window_covers_is_background() -> None:
    values = np.full((1, 32, 64), 5.0, np.float32)
    plan = plan_windows((32, 64), (32, 32), multiple=2)
    kept = replace(plan, corners=plan.corners[:1])
    found = probabilities(Pointwise(2), values, Reading((32, 32), 0.0), plan=kept)
    assert (found[1, :, :32] > 0.9).all()
    assert (found[0, :, 32:] == 1).all()


def test_memory_is_that_of_the_field_not_of_the_windows() -> None:
    """K + 1 float32 a sample, and a few windows: the scores of all 576 at once would be twice as much."""
    side, window = 800, 64
    values = np.zeros((1, side, side), np.float32)
    network = Pointwise(2)
    tracemalloc.start()
    try:
        probabilities(network, values, Reading((window, window), 0.5))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < (3 * 4 + 2) * side * side + 40 * window * window * 4


def scores_of(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    return np.moveaxis(np.eye(classes, dtype=np.float32)[labels], -1, 0)


def test_crop_is_undone_exactly() -> None:
    labels = np.random.default_rng(0).integers(0, 3, (20, 30))
    original = picture_field(np.zeros((1, 20, 30), np.float32), ("gray",))
    cropped = original.moved(original.values[:, 3:17, 5:25], start=(3, 5), scale=(1, 1))
    found = labels_on(cropped.with_values(scores_of(labels[3:17, 5:25], 3), channels=("a", "b", "c")), original)
    assert (found[3:17, 5:25] == labels[3:17, 5:25]).all()
    found[3:17, 5:25] = 0
    assert not found.any()


def test_pad_is_undone_exactly() -> None:
    labels = np.random.default_rng(1).integers(0, 2, (9, 11, 7))
    original = volume_field(np.zeros((1, 9, 11, 7), np.float32), np.diag([-1.0, 2.0, 3.0, 1.0]), ("value",))
    padded = original.moved(np.zeros((1, 16, 16, 16), np.float32), start=(-3, -2, -4), scale=(1, 1, 1))
    scores = np.zeros((2, 16, 16, 16), np.float32)
    scores[:, 3:12, 2:13, 4:11] = scores_of(labels, 2)
    assert (labels_on(padded.with_values(scores, channels=("a", "b")), original) == labels).all()


def test_disc_found_at_half_size_has_its_place_and_area_in_the_original() -> None:
    original = picture_field(np.zeros((1, 200, 160), np.float32), ("gray",))
    coarse = original.moved(np.zeros((1, 100, 80), np.float32), start=(0.5, 0.5), scale=(2, 2))
    y, x = np.indices((100, 80)) * 2 + 0.5  # centers of the coarse samples in the original's px
    near = np.clip(0.5 + (40 - np.hypot(y - 90, x - 70)) / 4, 0, 1).astype(np.float32)
    found = labels_on(coarse.with_values(np.stack([1 - near, near]), channels=("a", "b")), original)
    yy, xx = np.indices((200, 160))
    truth = np.hypot(yy - 90, xx - 70) <= 40
    assert found.sum() == pytest.approx(truth.sum(), rel=0.01)
    assert np.argwhere(found).mean(axis=0) == pytest.approx([90, 70], abs=0.05)
    assert (found.astype(bool) ^ truth).sum() < 0.25 * 2 * np.pi * 40  # less than a quarter px along the outline


def test_turned_and_flipped_volume_comes_back_in_place() -> None:
    labels = np.random.default_rng(2).integers(0, 3, (4, 5, 6))
    original = volume_field(np.zeros((1, 4, 5, 6), np.float32), np.diag([2.0, 1.0, 3.0, 1.0]), ("value",))
    turn = np.array([[0, 0, -1, 3], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]], float)  # (a, b, c) is (3 - c, a, b)
    turned = np.transpose(labels, (1, 2, 0))[:, :, ::-1]
    field = Field(scores_of(turned, 3), _axes(), original.affine @ turn, ("a", "b", "c"))
    assert (labels_on(field, original) == labels).all()


def _axes() -> tuple[Any, ...]:
    return volume_field(np.zeros((1, 2, 2, 2), np.float32), np.eye(4), ("value",)).axes


def test_threshold_moves_the_outline_of_one_structure() -> None:
    original = picture_field(np.zeros((1, 1, 4), np.float32), ("gray",))
    shares = np.array([[0.2, 0.4, 0.6, 0.8]], np.float32)
    found = original.with_values(np.stack([1 - shares, shares]), channels=("a", "b"))
    assert labels_on(found, original).tolist() == [[0, 0, 1, 1]]
    assert labels_on(found, original, threshold=0.3).tolist() == [[0, 1, 1, 1]]


def test_labels_go_to_the_grid_of_the_network_and_come_back() -> None:
    yy, xx = np.indices((120, 100))
    labels = (np.hypot(yy - 60, xx - 45) <= 30).astype(np.uint8)
    original = picture_field(np.zeros((1, 120, 100), np.float32), ("gray",))
    prepared = original.moved(np.zeros((1, 70, 60), np.float32), start=(-10.0, -10.0), scale=(2.0, 2.0))
    seen = labels_under(labels, original, prepared, classes=2)
    assert (seen[:4] == IGNORED).all()  # beyond the picture
    assert (seen == 1).sum() * 4 == pytest.approx(labels.sum(), rel=0.02)
    scores = np.stack([seen != 1, seen == 1]).astype(np.float32)
    back = labels_on(prepared.with_values(scores, channels=("a", "b")), original)
    assert (back ^ labels).sum() < np.pi * 60  # less than a px along the outline

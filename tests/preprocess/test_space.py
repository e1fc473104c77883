"""Steps that move samples: each lands where the affine says, against closed forms and scipy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy import ndimage

from wsi.card_steps import Step
from wsi.errors import ModelError
from wsi.field import Field, picture_field, volume_field
from wsi.preprocess import apply

STEP: TypeAdapter[Step] = TypeAdapter(Step)


def done(field: Field, *steps: dict[str, object]) -> Field:
    return apply(field, [STEP.validate_python(step) for step in steps])


def coordinates(*shape: int) -> Field:
    """Return a picture whose channels say each px's own row and column."""
    return picture_field(np.indices(shape).astype(np.float32), ("row", "column"))


def indices(field: Field) -> NDArray[np.float64]:
    return np.moveaxis(np.indices(field.shape).astype(np.float64), 0, -1)


def off_place(field: Field) -> float:
    """Return by how much samples of `coordinates` differ from where their affine puts them, at most."""
    return float(np.abs(np.moveaxis(field.to_world(indices(field)), -1, 0) - field.values).max())


@given(st.integers(20, 60), st.integers(20, 60), st.integers(8, 90), st.sampled_from([0.0, 0.05, 0.11]))
@settings(max_examples=40, deadline=None)
def test_cut_resized_padded_picture_leads_back_to_its_own_px(height: int, width: int, px: int, share: float) -> None:
    steps: list[dict[str, object]] = [{"op": "crop-border@1", "share": share}] if share else []
    found = done(coordinates(height, width), *steps, {"op": "resize@1", "px": [px]}, {"op": "pad@1", "value": -1})
    world = np.moveaxis(found.to_world(indices(found)), -1, 0)
    cut = [int(side * share) for side in (height, width)]
    first, last = np.reshape(cut, (2, 1, 1)), np.reshape([height - 1 - cut[0], width - 1 - cut[1]], (2, 1, 1))
    real = ((world >= first) & (world <= last)).all(axis=0)  # beyond the outermost centers values are held, or padding
    assert found.shape == (px, px)
    assert real.sum() >= px
    # A mean that takes a share f of a px counts that px at its center: f (1 - f) / 2 px off at each end at most.
    assert np.abs(world - found.values)[:, real].max() < 0.125 + 1e-3


@pytest.mark.parametrize("shape", [(20, 31), (32, 21), (9, 9)])
def test_square_is_the_middle_of_the_longer_side(shape: tuple[int, int]) -> None:
    found = done(coordinates(*shape), {"op": "crop-square@1"})
    side = min(shape)
    assert found.shape == (side, side)
    assert off_place(found) == 0
    start, end = found.values[:, 0, 0], found.values[:, -1, -1]
    assert np.all(np.abs((start + end) / 2 - (np.array(shape) - 1) / 2) <= 0.5)


def test_shrunk_picture_has_the_means_of_its_blocks() -> None:
    values = np.random.default_rng(0).random((2, 12, 8), np.float32)
    found = done(picture_field(values, ("a", "b")), {"op": "resize@1", "px": [4], "side": "longest"})
    assert found.shape == (4, 3)
    corner = values[:, :3, :3].mean(axis=1) @ np.array([1, 1, 2 / 3]) / (8 / 3)  # columns 0, 1 and two thirds of 2
    assert np.allclose(found.values[:, 0, 0], corner, atol=1e-6)
    whole = done(picture_field(values, ("a", "b")), {"op": "resize@1", "px": [4, 2], "side": "exact"})
    assert np.allclose(whole.values, values.reshape(2, 4, 3, 2, 4).mean(axis=(2, 4)), atol=1e-6)
    assert off_place(done(coordinates(12, 8), {"op": "resize@1", "px": [4, 2], "side": "exact"})) < 1e-5


def test_mean_of_a_picture_is_kept_when_it_shrinks() -> None:
    values = np.random.default_rng(1).random((1, 37, 53), np.float32)
    found = done(picture_field(values, ("a",)), {"op": "resize@1", "px": [10, 11], "side": "exact"})
    assert np.isclose(found.values.mean(), values.mean(), rtol=1e-5)


def test_shortest_side_gets_the_size() -> None:
    assert done(coordinates(30, 45), {"op": "resize@1", "px": [20], "side": "shortest"}).shape == (20, 30)


def test_half_px_is_right_after_a_shrink_by_two() -> None:
    found = done(coordinates(8, 8), {"op": "resize@1", "px": [4]})
    assert found.to_world([0.0, 0.0]).tolist() == [0.5, 0.5]
    assert found.steps == (2.0, 2.0)


def test_pad_puts_the_picture_in_the_middle() -> None:
    field = picture_field(np.ones((1, 3, 6), np.uint8), ("gray",))
    found = done(field, {"op": "pad@1", "value": 0.5})
    assert found.shape == (6, 6)
    assert found.values[0, :, 0].tolist() == [0.5, 1, 1, 1, 0.5, 0.5]
    assert found.to_world([1.0, 0.0]).tolist() == [0.0, 0.0]
    larger = done(field, {"op": "pad@1", "px": [2, 9]})
    assert larger.shape == (3, 9)


AFFINE = np.array([[0, 0, 3.0, -10], [-1.5, 0, 0, 20], [0, 2.0, 0, 5], [0, 0, 0, 1]])


def volume(shape: tuple[int, int, int] = (9, 11, 7), affine: NDArray[np.float64] = AFFINE) -> Field:
    """Return a volume whose value is linear in the world: 2 x + 3 y - z."""
    field = volume_field(np.zeros((1, *shape), np.float32), affine, ("value",))
    world = field.to_world(indices(field))
    return field.with_values((world @ [2.0, 3.0, -1.0])[None].astype(np.float32))


def off_world(field: Field, border_mm: float) -> float:
    world = field.to_world(indices(field)) @ [2.0, 3.0, -1.0]
    cuts = [math.ceil(border_mm / step) for step in field.steps]
    inner = tuple(slice(cut, n - cut) for cut, n in zip(cuts, field.shape, strict=True))
    return float(np.abs(world - field.values[0])[inner].max())


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("to", [[1.0, 1.0, 1.0], [1.7, 0.9, 2.2], [4.0, 4.0, 4.0]])
def test_resampled_volume_is_right_in_the_world(order: int, to: list[float]) -> None:
    found = done(volume((44, 46, 42)), {"op": "resample@1", "step": to, "order": order})
    assert np.allclose(found.steps, to)
    assert off_world(found, border_mm=18) < 1e-3  # splines and means feel the held ends nearby


def test_resampled_volume_keeps_its_middle_and_step() -> None:
    field = volume()
    found = done(field, {"op": "resample@1", "step": [1.0]})
    assert found.shape == (14, 22, 21)
    middle = [(n - 1) / 2 for n in found.shape]
    assert np.allclose(found.to_world(middle), field.to_world([(n - 1) / 2 for n in field.shape]))
    assert np.allclose(np.linalg.norm(found.affine[:3, :3], axis=0), 1.0)


def test_nearest_gives_no_new_labels() -> None:
    labels = np.random.default_rng(3).integers(0, 5, (1, 9, 9, 9)).astype(np.int16)
    field = volume_field(labels, np.eye(4), ("value",))
    found = done(field, {"op": "resample@1", "step": [0.5], "order": 0})
    assert set(np.unique(found.values)) <= set(range(5))
    assert np.array_equal(found.values[0], np.repeat(np.repeat(np.repeat(labels[0], 2, 0), 2, 1), 2, 2))


def test_cubic_resampling_is_scipys() -> None:
    values = np.random.default_rng(4).random((1, 8, 8, 8)).astype(np.float32)
    found = done(volume_field(values, np.eye(4), ("value",)), {"op": "resample@1", "step": [0.5], "order": 3})
    place = np.stack(np.meshgrid(*[np.arange(16) / 2 - 0.25] * 3, indexing="ij"))
    assert np.allclose(found.values[0], ndimage.map_coordinates(values[0], place, order=3, mode="nearest"), atol=1e-5)


@pytest.mark.parametrize("to", ["RAS", "LPS", "SAR", "ASR", "PIL"])
def test_oriented_volume_runs_as_asked_and_stays_in_place(to: str) -> None:
    found = done(volume(), {"op": "orient@1", "to": to})
    for axis, letter in enumerate(to):
        world = next(i for i, pair in enumerate(("RL", "AP", "SI")) if letter in pair)
        direction = found.affine[:3, axis]
        assert np.argmax(np.abs(direction)) == world
        assert (direction[world] > 0) == (letter in "RAS")
    assert off_world(found, border_mm=0) < 1e-4
    assert sorted(found.values.ravel()) == sorted(volume().values.ravel())


def test_tilted_volume_takes_the_nearest_axes() -> None:
    angle = np.radians(30)
    tilt = np.eye(4)
    tilt[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    found = done(volume((5, 6, 7), tilt), {"op": "orient@1", "to": "LAS"})
    assert off_world(found, border_mm=0) < 1e-4
    assert found.affine[0, 0] < 0 < found.affine[1, 1]


@pytest.mark.parametrize(
    "step",
    [
        {"op": "orient@1", "to": "RRS"},
        {"op": "resample@1", "step": [1.0, 1.0]},
        {"op": "pad@1", "px": [9, 9]},
        {"op": "clahe@1"},
        {"op": "local-mean@1"},
        {"op": "crop-to-field-of-view@1"},
        {"op": "gray@1"},
        {"op": "select@1", "channels": ["R"]},
        {"op": "normalize@1", "mean": [0.0], "std": [1.0]},
    ],
)
def test_step_that_does_not_fit_is_named(step: dict[str, object]) -> None:
    two = volume().with_values(np.repeat(volume().values, 2, axis=0), channels=("a", "b"))
    with pytest.raises(ModelError, match=str(step["op"])):
        done(two, step)

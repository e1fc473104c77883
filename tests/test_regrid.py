"""Values find their place again, whatever was done to the image on the way."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from wsi.field import Field, picture_field, volume_field
from wsi.regrid import Order, onto, read_at


def numbered(*shape: int) -> Field:
    values = np.arange(1, 1 + np.prod(shape)).reshape(1, *shape)
    affine = np.array([[0, -0.9, 0, 9], [0.9, 0, 0, 2], [0, 0, 2.5, -7], [0, 0, 0, 1]], float)
    return volume_field(values, affine, ("value",)) if len(shape) == 3 else picture_field(values, ("gray",))


def test_a_crop_goes_back_to_its_place_and_beyond_it_is_nothing() -> None:
    whole = numbered(6, 5)
    crop = whole.moved(whole.values[:, 2:5, 1:4], start=(2, 1), scale=(1, 1))
    found = onto(crop, whole.shape, whole.affine).values
    expected = np.zeros_like(whole.values)
    expected[:, 2:5, 1:4] = whole.values[:, 2:5, 1:4]
    assert np.array_equal(found, expected)


def test_a_halved_image_is_doubled() -> None:
    whole = numbered(4, 6)
    half = whole.moved(np.array([[[1, 2, 3], [4, 5, 6]]]), start=(0.5, 0.5), scale=(2, 2))
    assert np.array_equal(onto(half, (4, 6), whole.affine).values[0], np.kron([[1, 2, 3], [4, 5, 6]], np.ones((2, 2))))


@pytest.mark.parametrize(
    ("order", "flips"), [((0, 1, 2), ()), ((2, 0, 1), (0,)), ((1, 0, 2), (0, 2)), ((2, 1, 0), (1,))]
)
def test_turned_and_flipped_volume_comes_back(order: tuple[int, ...], flips: tuple[int, ...]) -> None:
    volume = numbered(3, 4, 5)
    values = np.flip(volume.values.transpose(0, *(1 + axis for axis in order)), tuple(1 + axis for axis in flips))
    affine = volume.affine[:, [*order, 3]].copy()
    for axis in flips:
        affine[:, 3] += affine[:, axis] * (values.shape[1 + axis] - 1)
        affine[:, axis] *= -1
    turned = volume_field(values, affine, ("value",))
    assert np.array_equal(onto(turned, volume.shape, volume.affine).values, volume.values)
    assert onto(turned, volume.shape, volume.affine).steps == pytest.approx(volume.steps)


@pytest.mark.parametrize("order", [0, 1])
def test_a_slanted_grid_is_read_where_its_samples_lie(order: Order) -> None:
    turn = np.array([[0.8, -0.6, 1.37], [0.6, 0.8, -2.13], [0, 0, 1]])
    whole = numbered(9, 7)
    found = onto(whole, (8, 8), turn, order=order, beyond=-5).values[0]
    place = whole.to_index(np.indices((8, 8)).transpose(1, 2, 0) @ turn[:2, :2].T + turn[:2, 2])
    inside = np.all((place > -0.5) & (place < np.array(whole.shape) - 0.5), axis=-1)
    wanted = map_coordinates(whole.values[0].astype(float), place.transpose(2, 0, 1), order=order, mode="nearest")
    assert 0 < inside.sum() < 64
    assert found == pytest.approx(np.where(inside, wanted, -5))


def test_outer_samples_hold_to_their_own_edge() -> None:
    whole = numbered(6, 8)
    coarse = whole.moved(np.full((1, 2, 2), 7, np.uint8), start=(1, 1.5), scale=(3, 4))
    for order in get_args(Order):
        assert (onto(coarse, whole.shape, whole.affine, order=order).values == 7).all()


def test_linear_values_of_a_ramp_are_the_ramp() -> None:
    whole = numbered(8, 10)
    ramp = np.arange(5)[None, None] * np.ones((1, 4, 1))
    half = whole.moved(ramp, start=(0.5, 0.5), scale=(2, 2))
    found = onto(half, whole.shape, whole.affine, order=1).values[0]
    assert found.dtype == np.float32
    assert found[3] == pytest.approx(np.clip((np.arange(10) - 0.5) / 2, 0, 4))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_right_angles_give_what_interpolation_of_every_place_does(seed: int) -> None:
    """By axes and by the full matrix: two ways to the same values."""
    rng = np.random.default_rng(seed)
    shape, other = rng.integers(2, 7, 3), tuple(rng.integers(1, 7, 3).tolist())
    matrix = np.eye(4)
    matrix[:3, :3] = np.diag(rng.choice([-2.0, -1.0, 0.5, 1.0, 1.7], 3))[rng.permutation(3)]
    matrix[:3, 3] = rng.choice([0.0, 1.0, 2.3, 4.0], 3)
    values = rng.normal(size=shape).astype(np.float32)
    places = np.einsum("ab,b...->a...", matrix[:3, :3], np.indices(other)) + matrix[:3, 3].reshape(3, 1, 1, 1)
    inside = np.all((places >= -0.5) & (places <= shape.reshape(3, 1, 1, 1) - 0.5), axis=0)
    wanted = np.where(inside, map_coordinates(values, places, order=1, mode="nearest"), 0)
    half = np.any(np.isclose(places % 1, 0.5), axis=0)  # on an outer edge: rounding says which side
    np.testing.assert_allclose(read_at(values, matrix, other)[~half], wanted[~half], atol=1e-5)

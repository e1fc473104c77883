"""Labels find their place again, whatever was done to the image on the way."""

import numpy as np
import pytest

from wsi.errors import ModelError
from wsi.field import Field, picture_field, volume_field
from wsi.regrid import onto


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


def test_a_slanted_grid_is_refused() -> None:
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    with pytest.raises(ModelError, match="right angles"):
        onto(numbered(4, 4), (4, 4), turn)

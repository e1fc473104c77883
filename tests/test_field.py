"""A field knows where its samples lie, whatever was cropped, padded or resampled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from wsi.field import Axis, Field, picture_field, volume_field

NUMBERS = st.floats(-50, 50).map(lambda value: round(value, 3))


@given(st.lists(NUMBERS, min_size=3, max_size=3), st.lists(st.floats(0.2, 4), min_size=3, max_size=3))
def test_places_come_back(start: list[float], scale: list[float]) -> None:
    turn = np.array([[0, -0.9, 0, -92.1], [0.9, 0, 0, 126.0], [0, 0, 3.3, -71.5], [0, 0, 0, 1]], float)
    field = volume_field(np.zeros((1, 2, 3, 4)), turn, ("image",)).moved(
        np.zeros((1, 2, 2, 2)), start=start, scale=scale
    )
    index = np.array([[0.0, 0, 0], [3, 1, 2]])
    np.testing.assert_allclose(field.to_index(field.to_world(index)), index, atol=1e-6)
    np.testing.assert_allclose(field.steps, np.linalg.norm(field.affine[:3, :3], axis=0))


def test_halved_picture_has_its_centers_between_the_old_ones() -> None:
    """A px of the half covers old px 0 and 1, whose centers are 0 and 1: its own is 0.5."""
    picture = picture_field(np.zeros((3, 8, 6)), ("R", "G", "B"))
    half = picture.moved(np.zeros((3, 4, 3)), start=(0.5, 0.5), scale=(2, 2))
    assert half.to_world(np.array([[0.0, 0], [3, 2]])).tolist() == [[0.5, 0.5], [6.5, 4.5]]
    assert half.steps == (2.0, 2.0)


def test_crop_then_pad_is_the_difference_of_the_corners() -> None:
    picture = picture_field(np.zeros((1, 9, 9)), ("gray",))
    crop = picture.moved(np.zeros((1, 5, 5)), start=(2, 3), scale=(1, 1))
    padded = crop.moved(np.zeros((1, 7, 7)), start=(-1, -1), scale=(1, 1))
    assert padded.to_world([1, 1]).tolist() == [2, 3]


def test_steps_of_a_volume_are_those_of_its_affine() -> None:
    affine = np.diag([-0.8, 0.8, 2.5, 1.0])
    assert volume_field(np.zeros((1, 2, 2, 2)), affine, ("CT",)).axes == (
        Axis("i", "mm", 0.8), Axis("j", "mm", 0.8), Axis("k", "mm", 2.5),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("values", "channels", "affine", "told"),
    [
        (np.zeros((1, 4)), ("a",), np.eye(3), "2 axes need"),
        (np.zeros((2, 4, 4)), ("a",), np.eye(3), "2 channels, but 1 names"),
        (np.zeros((1, 0, 4)), ("a",), np.eye(3), "at least one sample"),
        (np.zeros((1, 4, 4)), ("a",), np.eye(4), "affine must be 3 x 3"),
        (np.zeros((1, 4, 4)), ("a",), np.diag([1.0, 0, 1]), "can't be inverted"),
        (np.zeros((1, 4, 4)), ("a",), np.diag([1.0, np.nan, 1]), "can't be inverted"),
        (np.zeros((1, 4, 4)), ("a",), np.diag([1.0, 1, 2]), "last row"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    values: NDArray[np.float64], channels: tuple[str, ...], affine: NDArray[np.float64], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        Field(values, (Axis("y", "px", 1), Axis("x", "px", 1)), affine, channels)


@pytest.mark.parametrize("step", [0.0, -1.0, float("nan"), float("inf")])
def test_a_step_is_positive(step: float) -> None:
    with pytest.raises(ValueError, match="finite and positive"):
        Axis("y", "px", step)


def test_other_values_have_the_same_places() -> None:
    picture = picture_field(np.zeros((3, 4, 4)), ("R", "G", "B"))
    gray = picture.with_values(np.ones((1, 4, 4)), channels=("gray",))
    assert (gray.channels, gray.shape) == (("gray",), (4, 4))
    with pytest.raises(ValueError, match="samples wanted"):
        picture.with_values(np.ones((3, 4, 5)))

"""Views of pictures: what a seed changes, and what stays."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.train.make_pictures import scene
from wsi.train.picture_shifts import SHIFTS, compressed, darker, smaller, tinted
from wsi.train.picture_views import PictureViews, placement, views_of

NONE = PictureViews(mirror=False, turn=0, scale=0, shift=0, gain=0, tint=0, gamma=0, blur=0, noise=0)
ALL = PictureViews(flip=True, turn=30, blur=0.5, noise=0.05, jpeg=0.5)


def scenes(count: int) -> NDArray[np.uint8]:
    return np.stack([scene(seed) for seed in range(count)])


def test_views_that_change_nothing_return_the_pictures() -> None:
    pictures = scenes(3)
    assert np.array_equal(views_of(pictures, NONE, [(0, i) for i in range(3)]), pictures)


def test_a_view_depends_on_its_own_seed_and_not_on_its_batch() -> None:
    pictures = scenes(4)
    together = views_of(pictures, ALL, [(1, i) for i in range(4)])
    alone = views_of(pictures[2:3], ALL, [(1, 2)])
    assert np.array_equal(together[2:3], alone)
    assert not np.array_equal(together[2:3], views_of(pictures[2:3], ALL, [(2, 2)]))
    assert together.shape == pictures.shape
    assert together.dtype == np.uint8


@pytest.mark.parametrize(("name", "axis"), [("mirror", 2), ("flip", 1)])
def test_half_of_the_views_are_mirrored_exactly(name: str, axis: int) -> None:
    picture = scenes(1)
    views = NONE.model_copy(update={name: True})
    seen = [views_of(picture, views, [(seed,)]) for seed in range(30)]
    as_they_are = sum(np.array_equal(one, picture) for one in seen)
    mirrored = sum(np.array_equal(one, np.flip(picture, axis)) for one in seen)
    assert as_they_are + mirrored == 30
    assert 7 < mirrored < 23


def test_a_turn_leaves_shapes_of_a_wide_picture_as_they_are() -> None:
    width, height = 200, 100
    for seed in range(5):
        matrix = placement(NONE.model_copy(update={"turn": 90.0}), np.random.default_rng(seed), aspect=width / height)
        in_px = np.diag([width / 2, height / 2]) @ matrix[:, :2] @ np.diag([2 / width, 2 / height])
        assert np.allclose(in_px @ in_px.T, np.eye(2)), "a turn and nothing else"
        assert np.isclose(np.linalg.det(in_px), 1)


def test_gain_and_gamma_are_those_drawn() -> None:
    gray = np.full((1, 8, 8, 3), 64, np.uint8)
    views = NONE.model_copy(update={"gamma": 0.3, "gain": 0.2})
    rng = np.random.default_rng((7, 0))
    placement(views, rng)
    gamma, gain = np.exp(rng.normal(0, 0.3)), np.exp(rng.normal(0, 0.2) + rng.normal(0, 0, 3))
    expected = np.rint(255 * np.clip(gain * (64 / 255) ** gamma, 0, 1))
    assert np.array_equal(views_of(gray, views, [(7, 0)])[0, 0, 0], expected)


def test_shifts_are_what_they_say() -> None:
    picture = scene(0)
    assert np.array_equal(darker(picture), np.rint(picture * 0.7))
    ratio = tinted(np.full((4, 4, 3), 100, np.uint8))[0, 0]
    assert ratio.tolist() == [115, 100, 85]
    assert smaller(picture).shape == (32, 32, 3)
    assert np.abs(smaller(picture)[0, 0] - picture[:2, :2].mean(axis=(0, 1))).max() <= 1
    assert 0 < np.abs(compressed(picture).astype(int) - picture).mean() < 10
    for change in SHIFTS.values():
        assert change(picture).dtype == np.uint8
        assert change(picture).ndim == 3

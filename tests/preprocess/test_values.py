"""Steps over values, against closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import TypeAdapter

from wsi.card_steps import Step
from wsi.field import Field, picture_field
from wsi.preprocess import apply

STEP: TypeAdapter[Step] = TypeAdapter(Step)


def done(field: Field, *steps: dict[str, object]) -> NDArray[np.float32]:
    return np.asarray(apply(field, [STEP.validate_python(step) for step in steps]).values)


def gray(*values: float) -> Field:
    return picture_field(np.array([[values]], np.float32), ("gray",))


def color(seed: int = 0, size: int = 40) -> Field:
    px = np.random.default_rng(seed).integers(0, 256, (3, size, size), dtype=np.uint8)
    return picture_field(px, ("R", "G", "B"))


def test_window_is_a_ramp_cut_off_at_both_ends() -> None:
    found = done(gray(-1000, -160, 40, 240, 3000), {"op": "window@1", "low": -160, "high": 240, "top": 2})
    assert found.ravel().tolist() == [0, 0, 1, 2, 2]


def test_percentiles_clip_outliers() -> None:
    field = gray(*range(101))
    found = done(field, {"op": "clip-percentiles@1", "low": 10, "high": 90, "top": 255})
    assert np.allclose(found.ravel(), np.clip((np.arange(101) - 10) / 80, 0, 1) * 255, atol=1e-4)
    nonzero = done(
        gray(*[0] * 900, *range(1, 101)), {"op": "clip-percentiles@1", "low": 0, "high": 100, "over": "nonzero"}
    )
    assert nonzero.ravel()[900] == 0
    assert nonzero.ravel()[-1] == 1
    assert not done(gray(5, 5, 5), {"op": "clip-percentiles@1", "low": 1, "high": 99}).any()


def test_z_score_inside_the_mask_has_mean_0_and_deviation_1() -> None:
    values = np.random.default_rng(1).normal(700, 40, (1, 30, 30)).astype(np.float32)
    values[:, :10] = 0
    found = done(picture_field(values, ("value",)), {"op": "z-score@1", "over": "nonzero"})[:, 10:]
    assert np.isclose(found.mean(), 0, atol=1e-4)
    assert np.isclose(found.std(), 1, atol=1e-4)
    assert not done(gray(3, 3), {"op": "z-score@1"}).any()


def test_normalize_scale_and_invert_are_their_formulas() -> None:
    field = color()
    mean, std = [10.0, 20.0, 30.0], [2.0, 4.0, 8.0]
    found = done(field, {"op": "normalize@1", "mean": mean, "std": std})
    assert np.allclose(found, (field.values - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1)))
    assert done(gray(1, 4), {"op": "scale@1", "factor": -2, "offset": 1}).ravel().tolist() == [-1, -7]
    assert done(gray(1, 4), {"op": "invert@1"}).ravel().tolist() == [3, 0]
    assert done(gray(1, 4), {"op": "invert@1", "greatest": 255}).ravel().tolist() == [254, 251]


def test_gray_weighs_as_bt601() -> None:
    field = picture_field(np.eye(3, dtype=np.uint8)[:, None] * 200, ("R", "G", "B"))
    assert np.allclose(done(field, {"op": "gray@1"}).ravel(), [59.8, 117.4, 22.8])


def test_select_takes_channels_by_name() -> None:
    field = color()
    assert np.array_equal(done(field, {"op": "select@1", "channels": ["B", "R"]}), field.values[[2, 0]])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_shades_of_gray_gains_are_the_closed_form(dtype: type) -> None:
    values = color(2).values // np.array([2, 3, 4], np.uint8).reshape(3, 1, 1)
    field = picture_field(values.astype(dtype), ("R", "G", "B"))
    light = (values.astype(float) ** 6).mean(axis=(1, 2)) ** (1 / 6)
    gains = np.sqrt((light**2).sum() / 3) / light
    expected = np.minimum(values * gains.reshape(3, 1, 1), 255)
    assert np.allclose(done(field, {"op": "shades-of-gray@1", "p": 6}), expected, rtol=1e-4)


def test_shades_of_gray_takes_out_any_cast() -> None:
    values = color(3).values.astype(np.float32) / 4
    cast = values * np.array([1.0, 0.6, 0.8], np.float32).reshape(3, 1, 1)
    plain, freed = (done(picture_field(v, ("R", "G", "B")), {"op": "shades-of-gray@1"}) for v in (values, cast))
    assert np.allclose(freed / freed.mean(), plain / plain.mean(), rtol=1e-3)


def test_gray_world_leaves_equal_means_alone() -> None:
    values = np.repeat(color(4).values[:1], 3, axis=0)
    assert np.allclose(
        done(picture_field(values, ("R", "G", "B")), {"op": "shades-of-gray@1", "p": 1}), values, rtol=1e-5
    )


def test_equalized_picture_of_one_tile_follows_its_cumulative_histogram() -> None:
    values = np.random.default_rng(5).integers(0, 200, (1, 50, 60), dtype=np.uint8)
    found = done(picture_field(values, ("gray",)), {"op": "clahe@1", "tiles": 1, "clip": 256})
    shares = np.cumsum(np.bincount(values.ravel(), minlength=256)) / values.size
    assert np.allclose(found, 255 * shares[values], atol=1e-3)


def test_clipped_histogram_of_one_tile_is_the_hand_sum() -> None:
    values = np.zeros((1, 16, 32), np.uint8)
    values[:, :, 16:] = 255  # 512 px in two bins; at clip 2 each keeps 4, and 504 are dealt over 256 bins
    found = done(picture_field(values, ("gray",)), {"op": "clahe@1", "tiles": 1, "clip": 2})
    dark = (4 + 504 / 256) / 512 * 255
    assert np.allclose(found[0, :, :16], dark, atol=1e-3)
    assert np.allclose(found[0, :, 16:], 255, atol=1e-3)


def test_equalizing_brings_out_a_dark_half() -> None:
    values = np.random.default_rng(6).integers(0, 256, (1, 64, 64)).astype(np.float32)
    values[:, :, 32:] = values[:, :, 32:] / 8 + 10
    found = done(picture_field(values, ("gray",)), {"op": "clahe@1", "tiles": 4, "clip": 4})
    assert found[..., 48:].std() > 2 * values[..., 48:].std()
    assert 0 <= found.min() <= found.max() <= 255


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_equalizing_a_flat_picture_leaves_it_flat(height: int, width: int, tiles: int) -> None:
    field = picture_field(np.full((1, height * tiles, width * tiles), 80, np.uint8), ("gray",))
    assert np.ptp(done(field, {"op": "clahe@1", "tiles": tiles, "clip": 1})) < 1e-3


def test_values_are_float32_whatever_the_steps() -> None:
    assert done(color()).dtype == np.float32
    assert np.array_equal(done(color()), color().values)

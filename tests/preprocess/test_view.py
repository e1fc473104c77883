"""Steps for a round field of view: drawn circles whose center and radius are known."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from wsi.card_steps import Step
from wsi.field import Field, picture_field, volume_field
from wsi.preprocess import apply
from wsi.read.field_reader import read_field
from wsi.read.round_view import find_round_view
from wsi.tissue.body import body
from wsi.tissue.field_of_view import field_of_view

STEP: TypeAdapter[Step] = TypeAdapter(Step)
CROP: dict[str, object] = {"op": "crop-to-field-of-view@1"}


def done(field: Field, *steps: dict[str, object]) -> Field:
    return apply(field, [STEP.validate_python(step) for step in steps])


def fundus(height: int, width: int, row: float, column: float, radius: float, *, seed: int = 0) -> Field:
    """Return a drawn fundus: a shaded, speckled disc on a dark, noisy ground."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    away = np.hypot(rows - row, columns - column) / radius
    light = np.where(away <= 1, 1 - 0.5 * away**2, 0.0)
    px = light * np.array([220.0, 120, 60]).reshape(3, 1, 1) + rng.normal(0, 3, (3, height, width)) + 3
    return picture_field(np.clip(px, 0, 255).astype(np.uint8), ("R", "G", "B"))


@given(
    st.integers(300, 700),
    st.integers(300, 900),
    st.floats(0.4, 0.6),
    st.floats(0.4, 0.6),
    st.floats(0.3, 0.48),
    st.integers(0, 9),
)
@settings(max_examples=25, deadline=None)
def test_circle_is_found_to_half_a_percent(
    height: int, width: int, row: float, column: float, radius: float, seed: int
) -> None:
    true = row * height, column * width, radius * max(height, width)  # higher than the picture when it is wide
    view = find_round_view(fundus(height, width, *true, seed=seed))
    angles = np.linspace(0, 2 * np.pi, 360)
    rows, columns = true[0] + true[2] * np.sin(angles), true[1] + true[2] * np.cos(angles)
    if np.mean((rows > 0) & (rows < height) & (columns > 0) & (columns < width)) < 0.45:
        return
    assert view.is_found
    assert np.allclose((view.row, view.column, view.radius), true, atol=0.006 * true[2] + 0.5)


GROUNDS = {"white": (255, 255, 255), "gray": (128, 128, 128), "dark gray": (25, 25, 25), "blue": (10, 10, 60)}


def on_ground(field: Field, color: tuple[int, int, int], circle: tuple[float, float, float]) -> Field:
    """Return a picture with all outside of the circle in one color."""
    rows, columns = np.mgrid[: field.shape[0], : field.shape[1]]
    away = np.hypot(rows - circle[0], columns - circle[1]) > circle[2]
    px = np.where(away, np.reshape(color, (3, 1, 1)), field.values).astype(np.uint8)
    return picture_field(px, field.channels)


@pytest.mark.parametrize("color", GROUNDS.values(), ids=GROUNDS)
def test_circle_is_found_on_any_plain_ground_and_cropped_as_on_black(color: tuple[int, int, int]) -> None:
    circle = 205.0, 310.0, 170.0
    field = fundus(400, 640, *circle)
    found = on_ground(field, color, circle)
    view = find_round_view(found)
    assert view.is_found
    assert np.allclose((view.row, view.column, view.radius), circle, atol=2)
    black, box = done(on_ground(field, (0, 0, 0), circle), CROP), done(found, CROP)
    assert np.allclose(box.shape, black.shape, atol=4)
    assert (box.values[:, :8, :8] == 0).all()  # the corners of the crop, as behind a camera
    assert box.values[:, box.shape[1] // 2, box.shape[1] // 2].max() > 100


def test_circle_is_found_on_a_noisy_ground() -> None:
    circle = 205.0, 310.0, 170.0
    field = fundus(400, 640, *circle)
    noise = np.random.default_rng(0).integers(0, 30, field.values.shape)
    rows, columns = np.mgrid[:400, :640]
    px = np.where(np.hypot(rows - circle[0], columns - circle[1]) > circle[2], noise, field.values).astype(np.uint8)
    view = find_round_view(picture_field(px, field.channels))
    assert view.is_found
    assert np.allclose((view.row, view.column, view.radius), circle, atol=2.5)


def test_frame_around_a_fundus_on_black_is_left_out() -> None:
    field = fundus(400, 500, 200.0, 250.0, 180.0)
    px = np.full((3, 500, 600), 255, np.uint8)
    px[:, 50:450, 50:550] = field.values
    view = find_round_view(picture_field(px, field.channels))
    assert view.is_found
    assert np.allclose((view.row, view.column, view.radius), (250, 300, 180), atol=2)
    box = done(picture_field(px, field.channels), CROP)
    assert (box.values.min(axis=0) < 200).all()
    assert np.allclose(box.shape, 361, atol=4)


def test_width_of_a_black_screen_does_not_count_as_surround() -> None:
    small, large = np.zeros((3, 600, 600), np.uint8), np.zeros((3, 600, 1600), np.uint8)
    disc = fundus(400, 400, 199.5, 199.5, 199).values
    small[:, 100:500, 100:500], large[:, 100:500, 600:1000] = disc, disc
    near, far = (find_round_view(picture_field(px, ("R", "G", "B"))) for px in (small, large))
    assert far.surround == pytest.approx(near.surround, abs=0.01) == pytest.approx(1 - np.pi / 9, abs=0.02)


def test_spot_on_plain_skin_is_no_field_of_view() -> None:
    rows, columns = np.mgrid[:300, :400]
    away = np.hypot(rows - 150, (columns - 200) / 1.15) + 6 * np.sin(5 * np.arctan2(rows - 150, columns - 200))
    spot = 1 / (1 + np.exp((away - 80) / 4))
    px = np.reshape((222.0, 178, 160), (3, 1, 1)) * (1 - spot) + np.reshape((120.0, 72, 55), (3, 1, 1)) * spot
    assert not find_round_view(picture_field(px.astype(np.uint8), ("R", "G", "B"))).is_found


@pytest.mark.parametrize("top", [0, 40])
def test_circle_with_cut_off_top_and_bottom_keeps_its_center(top: int) -> None:
    field = fundus(400, 640, 200.0, 300.0, 230.0)
    px = field.values.copy()
    px[:, :top] = px[:, 400 - top :] = 2  # cut off inside of the picture, as after padding
    view = find_round_view(picture_field(px, field.channels))
    assert view.is_found
    assert np.allclose((view.row, view.column, view.radius), (200, 300, 230), atol=2)
    box = done(picture_field(px, field.channels), CROP)
    assert abs(box.shape[0] - (400 - 2 * top)) <= 2
    assert abs(box.shape[1] - 461) <= 4
    assert np.allclose(box.to_world([0.0, 0.0]), (top, 70), atol=3)


def test_picture_without_surround_has_no_circle_and_stays_whole() -> None:
    px = np.random.default_rng(1).integers(60, 250, (3, 200, 300), dtype=np.uint8)
    field = picture_field(px, ("R", "G", "B"))
    assert not find_round_view(field).is_found
    assert done(field, CROP).shape == (200, 300)
    assert field_of_view(field).all()


def test_dark_frame_of_a_square_picture_is_no_circle_but_is_cut_off() -> None:
    px = np.zeros((3, 300, 300), np.uint8)
    px[:, 40:240, 60:280] = 180
    field = picture_field(px, ("R", "G", "B"))
    assert not find_round_view(field).is_found
    assert done(field, CROP).shape == (200, 220)


def test_black_picture_is_left_alone() -> None:
    field = picture_field(np.zeros((3, 50, 60), np.uint8), ("R", "G", "B"))
    assert done(field, CROP).shape == (50, 60)


@pytest.mark.parametrize("outside", [-1.0, 0.5, 300.0])
def test_outside_may_be_a_number_that_bytes_cannot_hold(outside: float) -> None:
    found = done(fundus(400, 500, 200, 250, 170), {**CROP, "outside": outside})
    assert found.values[0, 0, 0] == outside
    assert found.values.max() > 150


def test_outside_of_the_circle_gets_its_value() -> None:
    field = fundus(300, 400, 150.0, 200.0, 140.0)
    found = done(field, {**CROP, "outside": 7})
    assert (found.values[:, 0, 0] == 7).all()
    assert (found.values[:, 140, 140] > 50).any()


def test_lesion_keeps_its_place_through_crop_resize_and_pad() -> None:
    field = fundus(512, 768, 250.0, 390.0, 240.0)
    px = field.values.copy()
    px[:, 300:308, 420:428] = 255
    found = done(picture_field(px, field.channels), CROP, {"op": "resize@1", "px": [240]}, {"op": "pad@1"})
    bright = np.argwhere(found.values.min(axis=0) > 240)
    assert np.allclose(found.to_world(bright.mean(axis=0)), (303.5, 423.5), atol=0.6)


def test_local_mean_of_a_flat_disc_is_the_offset_to_its_very_edge() -> None:
    rows, columns = np.mgrid[:400, :400]
    disc = np.hypot(rows - 200, columns - 200) <= 180
    field = picture_field(np.repeat((disc * 150).astype(np.uint8)[None], 3, axis=0), ("R", "G", "B"))
    found = done(field, {"op": "local-mean@1"})
    assert np.abs(found.values - 128)[:, field_of_view(field) & disc].max() < 3
    assert (found.values[:, ~field_of_view(field)] == 128).all()


def test_local_mean_is_the_gaussian_of_a_wave() -> None:
    columns = np.arange(600)
    period, sigma = 120.0, 600 / 30
    wave = 120 + 20 * np.cos(2 * np.pi * columns / period)
    field = picture_field(np.repeat(np.repeat(wave[None, None], 300, 1), 3, 0).astype(np.float32), ("R", "G", "B"))
    found = done(field, {"op": "local-mean@1", "gain": 1})
    damped = 1 - np.exp(-2 * (np.pi * sigma / period) ** 2)  # the Fourier transform of a Gaussian
    expected = 128 + damped * (wave - 120)
    assert np.abs(found.values[0, 150, 120:480] - expected[120:480]).max() < 0.2


def test_body_of_few_px_beside_a_plain_ground_is_those_px() -> None:
    values = np.zeros((1, 10, 10, 10), np.int16)
    values[0, 0, 0, :5] = 7  # so few that the upper percentile lies between ground and px
    assert np.array_equal(body(volume_field(values, np.eye(4), ("value",))), values[0] > 0)


def test_body_is_the_largest_piece_with_its_lungs() -> None:
    field_values = np.full((1, 40, 40, 5), -1000.0, np.float32)
    field_values[:, 8:32, 6:34] = 30
    field_values[:, 14:24, 10:18] = -800  # a lung
    field_values[:, 36:38, 5:35] = 50  # a table

    found = body(volume_field(field_values, np.eye(4), ("value",)))
    expected = np.zeros((40, 40, 5), bool)
    expected[8:32, 6:34] = True
    assert np.array_equal(found, expected)
    assert body(volume_field(np.zeros((1, 3, 3, 3)), np.eye(4), ("value",))).all()


DATA = Path(os.environ.get("WSI_DATA", "/nonexistent")) / "images/retina/idrid_original"


@pytest.mark.skipif(not DATA.is_dir(), reason="needs WSI_DATA")
def test_real_fundus_is_prepared_within_one_and_a_half_seconds() -> None:
    steps: list[dict[str, object]] = [
        {**CROP, "outside": 0}, {"op": "resize@1", "px": [1024]}, {"op": "local-mean@1"}, {"op": "pad@1", "value": 128},
    ]  # fmt: skip
    for path in sorted(DATA.iterdir()):
        field = read_field([path]).field
        began = time.process_time()
        found = done(field, *steps)
        assert time.process_time() - began < 1.5
        assert found.shape == (1024, 1024)

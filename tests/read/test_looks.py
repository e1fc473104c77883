"""What a picture shows of itself, on drawn pictures whose numbers follow by hand; on real ones when they are there."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from wsi.field import Field, picture_field, volume_field
from wsi.read.field_reader import read_field
from wsi.read.looks import LOOKS, LOOKS_OF_MEASURED, look_at

RGB = ("R", "G", "B")


def flat(*color: float) -> Field:
    return picture_field(np.broadcast_to(np.reshape(color, (3, 1, 1)), (3, 200, 300)).astype(np.float32), RGB)


def halves(left: tuple[float, ...], right: tuple[float, ...]) -> Field:
    px = np.empty((3, 200, 300), np.float32)
    px[:, :, :150], px[:, :, 150:] = np.reshape(left, (3, 1, 1)), np.reshape(right, (3, 1, 1))
    return picture_field(px, RGB)


def transmitted(*amounts: float) -> tuple[float, ...]:
    """Return the color that hematoxylin and eosin leave of white light, by Beer's law."""
    density = amounts[0] * np.array([0.65, 0.70, 0.29]) + amounts[1] * np.array([0.07, 0.99, 0.11])
    return tuple(255 * 10**-density)


def test_every_look_is_a_number_and_has_a_name() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.integers(0, 256, (3, 90, 50)), rng.integers(0, 256, (1, 5, 7)), np.zeros((3, 1, 1))):
        found = look_at(picture_field(values.astype(np.uint8), RGB[: len(values)]))
        assert tuple(found) == LOOKS
        assert all(np.isfinite(value) for value in found.values())


def test_of_measured_values_air_fat_levels_and_noise_are_told() -> None:
    values = np.array([-1000.0, -301, -299, -100, 40, 40])
    expected = {"air": 2 / 6, "fat": 1 / 6, "levels": 5.0}
    for field in (
        volume_field(values.reshape(1, 1, 2, 3), np.eye(4), ("value",)),
        picture_field(values.reshape(1, 2, 3), ("value",)),
    ):
        found = look_at(field)
        assert tuple(found) == LOOKS_OF_MEASURED
        assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_neighbors_are_alike_in_a_wave_and_not_in_noise() -> None:
    def smooth(values: NDArray[np.floating]) -> float:
        return look_at(volume_field(values[None], np.eye(4), ("value",)))["smooth"]

    wave = np.broadcast_to(np.sin(2 * np.pi * np.arange(200) / 20), (200, 200, 200))
    # along one axis the cosine of the phase between neighbors, along the other two all are the same
    assert smooth(wave) == pytest.approx((np.cos(2 * np.pi / 20) + 2) / 3, abs=0.01)
    assert abs(smooth(np.random.default_rng(0).normal(0, 1, (40, 40, 40)))) < 0.02
    assert smooth(np.zeros((4, 4, 4))) == 1


def test_what_is_neither_picture_nor_measured_has_no_looks() -> None:
    assert look_at(volume_field(np.zeros((3, 3, 3, 3)), np.eye(4), RGB)) == {}
    assert look_at(picture_field(np.zeros((2, 3, 3)), ("a", "b"))) == {}


def test_gray_is_the_share_without_color() -> None:
    assert look_at(halves((100, 100, 100), (200, 100, 100)))["gray"] == pytest.approx(0.5, abs=0.01)
    assert look_at(picture_field(np.full((1, 50, 50), 9, np.uint8), ("gray",)))["gray"] == 1


def test_colors_are_counted_by_their_order() -> None:
    found = look_at(halves((200, 150, 100), (100, 120, 180)))
    assert found["warm"] == pytest.approx(0.5, abs=0.01)
    assert found["blue"] == pytest.approx(0.5, abs=0.01)
    assert look_at(flat(200, 150, 50))["red"] == pytest.approx(0.5)
    assert look_at(flat(200, 150, 50))["pale"] == pytest.approx(0.125)


def test_colorfulness_is_the_papers_formula() -> None:
    left, right = np.array([200.0, 150, 100]), np.array([100.0, 120, 180])
    across, along = (
        [side[0] - side[1] for side in (left, right)],
        [(side[0] + side[1]) / 2 - side[2] for side in (left, right)],
    )
    spread = np.hypot(np.std(across), np.std(along)) + 0.3 * np.hypot(np.mean(across), np.mean(along))
    assert look_at(halves(tuple(left), tuple(right)))["colorful"] == pytest.approx(spread / 100, rel=0.01)


def test_mixtures_of_both_stains_lie_in_their_plane() -> None:
    assert look_at(halves(transmitted(0.4, 0.3), transmitted(0.1, 0.6)))["off_stain"] == pytest.approx(0, abs=1e-3)
    assert look_at(flat(200, 150, 60))["off_stain"] > 0.4  # skin takes blue light, which neither stain does
    assert look_at(flat(255, 255, 255))["off_stain"] == 1


def test_bright_ground_is_bright_without_color() -> None:
    assert look_at(halves((240, 240, 238), (240, 150, 200)))["bright_ground"] == pytest.approx(0.5, abs=0.01)


def disc(radius: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:300, :300]
    return np.asarray(np.hypot(rows - 149.5, columns - 149.5) <= radius)


def test_round_view_and_its_surround_are_found() -> None:
    field = picture_field(np.where(disc(130), np.reshape((180.0, 90, 40), (3, 1, 1)), 2.0).astype(np.float32), RGB)
    found = look_at(field)
    assert found["round"] > 0.6
    assert found["surround"] == pytest.approx(1 - np.pi * 130**2 / 300**2, abs=0.01)
    square = np.full((3, 300, 300), 2.0)
    square[:, 40:260, 40:260] = 150
    assert look_at(picture_field(square, RGB))["round"] == 0


def test_column_is_the_middle_less_its_sides() -> None:
    px = np.full((1, 100, 100), 60.0)
    px[:, :, 40:60] = 162
    assert look_at(picture_field(px, ("gray",)))["column"] == pytest.approx(102 / 255)


def test_fine_tells_texture_from_shading() -> None:
    rows, columns = np.mgrid[:192, :192]
    shading = picture_field((columns / 192 * 255)[None], ("gray",))
    texture = picture_field(((rows + columns) // 2 % 2 * 200.0)[None], ("gray",))
    assert look_at(shading)["fine"] < 0.05
    assert look_at(texture)["fine"] > 0.95


def test_looks_hardly_change_with_size() -> None:
    small = picture_field(np.where(disc(130), np.reshape((180.0, 90, 40), (3, 1, 1)), 2.0).astype(np.float32), RGB)
    large = picture_field(np.repeat(np.repeat(small.values, 4, axis=1), 4, axis=2), RGB)
    first, second = look_at(small), look_at(large)
    assert max(abs(first[name] - second[name]) for name in LOOKS) < 0.05


DATA = Path(os.environ.get("WSI_DATA", "/nonexistent"))
FUNDUS = {"round": (0.3, 1), "surround": (0.08, 0.75), "red": (0.4, 0.9), "warm": (0.75, 1), "fine": (0, 0.3)}


@pytest.mark.skipif(not (DATA / "images").is_dir(), reason="needs WSI_DATA")
def test_limits_of_fundus_photographs_hold_for_them_and_for_nothing_else() -> None:
    def holds(path: Path) -> bool:
        found = look_at(read_field([path]).field)
        return all(low <= found[name] <= high for name, (low, high) in FUNDUS.items())

    images = DATA / "images"
    assert all(holds(path) for path in sorted((images / "retina/chase").glob("*.jpg")))
    others = [*sorted((images / "derm/ham").glob("*.jpg"))[:40], *sorted((images / "cxr/nih").glob("*.jpg"))[:20]]
    assert not any(holds(path) for path in others)

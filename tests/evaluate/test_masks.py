"""Claims about the agreement of masks, against every pair of outline samples."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wsi.evaluate.mask_study import MaskStudy, mean_figure
from wsi.evaluate.masks import dice, mask_scores, outline

Mask = NDArray[np.bool_]


def by_hand(mask: Mask, reference: Mask, spacing: Sequence[float], tolerance: float) -> tuple[float, float, float]:
    """Return Dice, surface Dice and HD95 by looking at all pairs."""

    def border(one: Mask) -> NDArray[np.float64]:
        found = []
        for place in map(tuple, np.argwhere(one)):
            for axis, step in itertools.product(range(one.ndim), (-1, 1)):
                near = list(place)
                near[axis] += step
                if not 0 <= near[axis] < one.shape[axis] or not one[tuple(near)]:
                    found.append(np.array(place) * spacing)
                    break
        return np.array(found)

    a, b = border(mask), border(reference)
    pairs = np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))
    ab, ba = pairs.min(1), pairs.min(0)
    both = 2 * (mask & reference).sum() / (mask.sum() + reference.sum())
    near = ((ab <= tolerance).sum() + (ba <= tolerance).sum()) / (len(ab) + len(ba))
    return float(both), float(near), float(max(np.percentile(ab, 95), np.percentile(ba, 95)))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(9, 11), (5, 6, 7), (1, 12)]), st.floats(0.2, 0.8))
def test_scores_are_those_of_all_pairs(seed: int, shape: tuple[int, ...], share: float) -> None:
    rng = np.random.default_rng(seed)
    mask, reference = rng.random(shape) < share, rng.random(shape) < share
    spacing = rng.uniform(0.5, 3, len(shape)).tolist()
    if not mask.any() or not reference.any():
        return
    found = mask_scores(mask, reference, spacing=spacing, tolerance=1.3)
    assert (found.dice, found.surface_dice, found.far) == pytest.approx(by_hand(mask, reference, spacing, 1.3))


def square(at: int, side: int = 10) -> Mask:
    mask = np.zeros((40, 40), bool)
    mask[at : at + side, 5 : 5 + side] = True
    return mask


def test_shifted_square_has_the_figures_by_hand() -> None:
    found = mask_scores(square(10), square(13), spacing=(2.0, 2.0), tolerance=6.0)
    assert found.dice == pytest.approx(0.7)
    assert found.surface_dice == 1.0  # 3 px of 2 mm
    assert found.far == pytest.approx(6.0)
    assert found.amount == found.reference == 400.0
    assert found.error == 0.0


def test_equal_masks_are_perfect() -> None:
    found = mask_scores(square(10), square(10), spacing=(1, 1), tolerance=0.0)
    assert (found.dice, found.surface_dice, found.far) == (1.0, 1.0, 0.0)


def test_two_empty_masks_have_nothing_to_compare() -> None:
    empty = np.zeros((4, 4), bool)
    found = mask_scores(empty, empty, spacing=(1, 1), tolerance=1)
    assert (found.dice, found.surface_dice, found.far, found.error) == (None, None, None, 0.0)
    assert "neither" in found.reason
    with pytest.raises(ValueError, match="empty"):
        dice(empty, empty)


@pytest.mark.parametrize(("missing", "error"), [("mask", -100.0), ("reference", 100.0)])
def test_one_empty_mask_scores_0_and_has_no_distance(missing: str, error: float) -> None:
    empty, full = np.zeros((40, 40), bool), square(10)
    pair = (empty, full) if missing == "mask" else (full, empty)
    found = mask_scores(*pair, spacing=(1, 1), tolerance=1)
    assert (found.dice, found.surface_dice, found.far, found.error) == (0.0, 0.0, None, error)
    assert f"the {missing} marks nothing" in found.reason


def test_only_what_counts_counts() -> None:
    counted = np.zeros((40, 40), bool)
    counted[:15] = True
    found = mask_scores(square(10), square(12), spacing=(1, 1), tolerance=0, counted=counted)
    assert (found.amount, found.reference) == (50.0, 30.0)
    assert found.dice == pytest.approx(2 * 30 / 80)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="can't be compared"):
        mask_scores(np.zeros((3, 3), bool), np.zeros((3, 4), bool), spacing=(1, 1), tolerance=1)


def test_border_of_the_image_is_outline() -> None:
    assert outline(np.ones((3, 3), bool)).sum() == 8


def test_mean_leaves_out_what_is_unknown_and_says_so() -> None:
    found = mean_figure("Dice", [0.5, None, 0.7, 0.9], ["a", "b", "c", "d"], rounds=200)
    assert found.value == pytest.approx(0.7)
    assert (found.n, found.patients) == (3, 3)
    assert found.reason == "images without a value: 1"
    assert found.low is not None
    assert 0.5 <= found.low < 0.7


def test_two_images_of_a_patient_are_drawn_together() -> None:
    alone = mean_figure("Dice", [0.5, 0.5, 0.9, 0.9], None, rounds=500)
    together = mean_figure("Dice", [0.5, 0.5, 0.9, 0.9], ["a", "a", "b", "b"], rounds=500)
    assert together.low == pytest.approx(0.5)
    assert alone.low is not None
    assert together.low is not None
    assert together.patients == 2
    assert alone.patients == 4


def test_study_tells_volume_errors_in_ml() -> None:
    cube = np.zeros((30, 30, 30), bool)
    cube[:20, :20, :20] = True
    small = cube.copy()
    small[:10] = False
    scores = [mask_scores(small, cube, spacing=(1, 1, 1), tolerance=1)] * 3
    found = {f.name: f.value for f in MaskStudy("organ", scores, ["a", "b", "c"], "mm", 1.0).figures(rounds=50)}
    assert found["volume error (ml), organ"] == pytest.approx(-4.0)
    assert found["absolute volume error (ml), organ"] == pytest.approx(4.0)

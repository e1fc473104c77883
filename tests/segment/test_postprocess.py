"""Claims about what is done to a mask after the network."""

import numpy as np
import pytest
from numpy.typing import NDArray

from wsi.card_image import Fill, InsideRoundView, LargestComponent, LeastSize, Postprocess
from wsi.geometry import Circle
from wsi.segment.postprocess import filled, largest_component, postprocessed, without_small

PICTURE = """
11100000
10100220
11100220
00000000
00010000
"""


def labels() -> NDArray[np.uint8]:
    return np.array([[int(c) for c in line] for line in PICTURE.split()], np.uint8)


def text(found: NDArray[np.uint8]) -> str:
    return "\n".join("".join(map(str, line)) for line in found.tolist())


def test_hole_is_filled_and_the_surround_is_not() -> None:
    found = postprocessed(labels(), [Fill(op="fill@1")], ["a", "b"])
    assert found[1, 1] == 1
    assert (found == labels()).sum() == labels().size - 1


def test_other_structure_in_a_hole_stays() -> None:
    drawn = labels()
    drawn[1, 1] = 2
    assert (postprocessed(drawn, [Fill(op="fill@1")], ["a", "b"]) == drawn).all()


def test_only_the_largest_piece_stays() -> None:
    found = postprocessed(labels(), [LargestComponent(op="largest-component@1")], ["a", "b"])
    assert found[4, 3] == 0
    assert (found == 1).sum() == 8
    assert (found == 2).sum() == 4


def test_step_for_one_structure_leaves_the_others() -> None:
    step = LeastSize(op="least-size@1", samples=5, structures=["b"])
    found = postprocessed(labels(), [step], ["a", "b"])
    assert not (found == 2).any()
    assert (found == 1).sum() == (labels() == 1).sum()


@pytest.mark.parametrize(("least", "left"), [(1, 9), (2, 8), (8, 8), (9, 0)])
def test_pieces_of_fewer_samples_are_dropped(least: int, left: int) -> None:
    assert without_small(labels() == 1, least).sum() == left


def test_bits_along_the_edge_of_a_round_view_are_dropped_and_what_reaches_in_stays() -> None:
    drawn = np.zeros((41, 41), np.uint8)
    drawn[20, 15:41] = 1  # from inside of the circle, whose last px is at column 38, to beyond it
    drawn[16:25, 2] = 1  # along the edge
    view = Circle(20.0, 20.0, 18.0)
    step = InsideRoundView(op="inside-round-view@1", margin=0.1)
    found = postprocessed(drawn, [step], ["a"], view=view)
    assert np.argwhere(found).tolist() == [[20, column] for column in range(15, 39)]
    assert (postprocessed(drawn, [step], ["a"]) == drawn).all()  # a picture without a round view


def test_margin_is_a_share_of_the_radius() -> None:
    drawn = np.zeros((101, 101), np.uint8)
    drawn[50, 86:88] = 1  # 36 and 37 px from the center: 0.72 and 0.74 of the radius
    for margin, left in ((0.25, 2), (0.27, 2), (0.29, 0)):
        step = InsideRoundView(op="inside-round-view@1", margin=margin)
        assert postprocessed(drawn, [step], ["a"], view=Circle(50.0, 50.0, 50.0)).sum() == left


def test_steps_are_taken_in_their_order() -> None:
    steps: list[Postprocess] = [Fill(op="fill@1"), LeastSize(op="least-size@1", samples=9)]
    assert (postprocessed(labels(), steps, ["a", "b"]) == 1).sum() == 9
    assert (postprocessed(labels(), steps[::-1], ["a", "b"]) == 1).sum() == 0


def test_empty_mask_stays_empty() -> None:
    empty = np.zeros((3, 4, 5), bool)
    assert not largest_component(empty).any()
    assert not without_small(empty, 3).any()
    assert not filled(empty).any()


def test_input_is_left_as_it_was() -> None:
    drawn = labels()
    postprocessed(drawn, [LargestComponent(op="largest-component@1")], ["a", "b"])
    assert (drawn == labels()).all()

"""Claims about what is done to a mask after the network."""

import numpy as np
import pytest
from numpy.typing import NDArray

from wsi.card_image import Fill, LargestComponent, LeastSize, Postprocess
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

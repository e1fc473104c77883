"""Features when they are asked for, within the memory agreed."""

from pathlib import Path

import numpy as np
import pytest

from tests.train.make_cohort import drawn_bag, drawn_cohort, features_folder, write_csv, write_h5
from wsi.errors import EncoderMismatchError
from wsi.train import read_cohort
from wsi.train.bags import Bags

ROWS = [{"slide": f"s{n}", "patient": f"p{n // 2}", "label": "ab"[n // 2 % 2]} for n in range(8)]
BAG_BYTES = 6 * 8 * 4 + 6 * 2 * 4


def test_a_case_has_its_own_tiles(tmp_path: Path) -> None:
    bags = Bags(drawn_cohort(tmp_path, ROWS))
    assert len(bags) == 8
    assert bags.dim == 8
    for at in range(8):
        np.testing.assert_array_equal(bags[at], drawn_bag(at))


def test_slides_of_a_patient_stand_one_after_the_other(tmp_path: Path) -> None:
    features = features_folder(tmp_path / "f", [row["slide"] for row in ROWS])
    cohort = read_cohort(write_csv(tmp_path / "l.csv", ROWS[::-1]), features, targets=["label"], bag="patient")
    np.testing.assert_array_equal(Bags(cohort)[1], np.concatenate([drawn_bag(2), drawn_bag(3)]))


def test_no_more_is_held_than_agreed_and_the_last_used_stay(tmp_path: Path) -> None:
    cohort = drawn_cohort(tmp_path, ROWS)
    bags = Bags(cohort, cache_bytes=3 * BAG_BYTES)
    for at in (0, 1, 2, 0, 3):
        bags[at]
        assert bags.held_bytes <= 3 * BAG_BYTES
    for at in (0, 2, 3):
        cohort.files[f"s{at}"].path.unlink()
        bags[at]
    cohort.files["s1"].path.unlink()
    with pytest.raises(OSError, match=r"s1\.h5"):
        bags[1]


def test_a_bag_larger_than_the_cache_is_read_and_not_held(tmp_path: Path) -> None:
    bags = Bags(drawn_cohort(tmp_path, ROWS), cache_bytes=BAG_BYTES - 1)
    np.testing.assert_array_equal(bags[5], drawn_bag(5))
    assert bags.held_bytes == 0


def test_bags_of_two_encoders_do_not_mix_even_uninspected(tmp_path: Path) -> None:
    features = features_folder(tmp_path / "f", [row["slide"] for row in ROWS])
    write_h5(features / "s4.h5", drawn_bag(4), encoder="other")
    cohort = read_cohort(write_csv(tmp_path / "l.csv", ROWS), features, targets=["label"], inspect=False)
    bags = Bags(cohort)
    bags[0]
    with pytest.raises(EncoderMismatchError):
        bags[4]


def test_bags_of_an_archive_are_their_rows(tmp_path: Path) -> None:
    bag = np.array([5, 2, 5, 2, 9], np.int64)
    x = np.arange(10, dtype=np.float64).reshape(5, 2)
    np.savez(tmp_path / "x.npz", x=x, bag=bag, y=np.array([0, 1, 1]))
    bags = Bags(read_cohort(None, tmp_path / "x.npz", targets=["y"]))
    assert [bags[at].tolist() for at in range(3)] == [[[2, 3], [6, 7]], [[0, 1], [4, 5]], [[8, 9]]]

"""The same tissue under two names is found; different tissue of one stain isn't."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.train.make_cohort import write_csv, write_h5
from wsi.encode import Features
from wsi.errors import LeakError
from wsi.train import Cohort, read_cohort
from wsi.train.duplicates import bag_facts, find_duplicates


def bag(features: NDArray[np.float32], coords: NDArray[np.int32] | None = None) -> Features:
    places = (
        np.random.default_rng(abs(int(features.sum() * 1000))).integers(0, 50_000, (len(features), 2)).astype(np.int32)
    )
    return Features(places if coords is None else coords, features.astype(np.float32), {}, "enc", None)


def stained(seed: int, count: int = 60, dim: int = 64) -> NDArray[np.float32]:
    """Tiles of one stain: a large part that all share, as encoders give it, and a small one of their own."""
    rng = np.random.default_rng(seed)
    shared = np.random.default_rng(0).normal(size=dim) * 60
    slide = rng.normal(size=dim) * 0.5
    return (shared + slide + rng.normal(size=(count, dim))).astype(np.float32)


def pairs(bags: Sequence[Features]) -> list[tuple[str, str, str]]:
    return [(one.kind, *one.slides) for one in find_duplicates({f"s{n}": bag_facts(b) for n, b in enumerate(bags)})]


def test_different_slides_of_one_stain_stay_apart() -> None:
    assert pairs([bag(stained(seed)) for seed in range(1, 30)]) == []


def test_equal_bags_are_found_in_any_order_of_tiles() -> None:
    features = stained(1)
    order = np.random.default_rng(1).permutation(len(features))
    places = bag(features).coords
    found = pairs([bag(features), bag(stained(2)), bag(features[order], places[order])])
    assert found == [("features", "s0", "s2")]


def test_three_copies_are_two_pairs() -> None:
    assert pairs([bag(stained(1))] * 3) == [("features", "s0", "s1"), ("features", "s1", "s2")]


@pytest.mark.parametrize("noise", [1e-3, 0.03])
def test_bags_that_are_almost_equal_are_found(noise: float) -> None:
    rng = np.random.default_rng(5)
    features = stained(1)
    copy = features + rng.normal(size=features.shape).astype(np.float32) * noise
    assert pairs([bag(features), *(bag(stained(s)) for s in range(2, 12)), bag(copy[::-1])]) == [("near", "s0", "s11")]


def test_half_precision_copy_is_found() -> None:
    features = stained(1)
    rounded = features.astype(np.float16).astype(np.float32)
    assert pairs([bag(features), bag(stained(2)), bag(rounded)]) == [("near", "s0", "s2")]


def test_part_of_a_slide_is_found() -> None:
    features = stained(1, count=200)
    assert pairs([bag(features), bag(stained(2)), bag(stained(3)), bag(features[:160])]) == [("near", "s0", "s3")]


def test_a_few_shared_background_tiles_are_no_duplicate() -> None:
    blank = stained(99, count=10)
    bags = [bag(np.concatenate([stained(seed), blank])) for seed in range(1, 6)]
    assert pairs(bags) == []


def test_bags_of_one_tile_are_compared_too() -> None:
    features = [stained(seed, count=1) for seed in range(1, 20)]
    assert pairs([bag(f) for f in [*features, features[3] + np.float32(1e-4)]]) == [("near", "s3", "s19")]


def test_equal_places_are_one_slide_unless_they_fill_a_box() -> None:
    rng = np.random.default_rng(3)
    scattered = rng.integers(0, 50_000, (40, 2)).astype(np.int32)
    grid = np.stack(np.meshgrid(np.arange(8), np.arange(5)), axis=-1).reshape(-1, 2).astype(np.int32)
    assert pairs([bag(stained(n, count=40), scattered) for n in (1, 2)]) == [("coords", "s0", "s1")]
    assert pairs([bag(stained(n, count=40), grid) for n in (1, 2)]) == []


def test_empty_bags_are_alike_to_none() -> None:
    assert pairs([bag(np.zeros((0, 8), np.float32)), bag(np.zeros((0, 8), np.float32)), bag(stained(1, dim=8))]) == []


def test_narrow_features_are_only_compared_for_equality() -> None:
    coarse = stained(1, dim=8)
    assert pairs([bag(coarse), bag(stained(2, dim=8)), bag(coarse + np.float32(1e-5))]) == []
    assert pairs([bag(coarse), bag(stained(2, dim=8)), bag(coarse)]) == [("features", "s0", "s2")]


def test_many_bags_are_compared_across_blocks() -> None:
    bags = [bag(stained(seed, count=4, dim=32)) for seed in range(1, 301)]
    bags[299] = bag(bags[2].features + np.float32(1e-5))
    assert pairs(bags) == [("near", "s2", "s299")]


def cohort_with_copy(tmp_path: Path, *, duplicates: str = "merge", label: str = "tumor") -> Cohort:
    rows = [{"slide": f"s{n}", "patient": f"p{n}", "label": ["tumor", "normal"][n % 2]} for n in range(6)]
    rows[5]["label"] = label
    for n in range(6):
        write_h5(tmp_path / "f" / f"s{n}.h5", stained(0 if n == 5 else n))
    path = write_csv(tmp_path / "l.csv", rows)
    return read_cohort(path, tmp_path / "f", targets=["label"], duplicates=duplicates)  # type: ignore[arg-type]


def test_patients_who_share_a_slide_become_one_and_are_named(tmp_path: Path) -> None:
    cohort = cohort_with_copy(tmp_path)
    assert {case.id: case.patient for case in cohort.cases}["s5"] == "p0"
    finding = cohort.findings[0]
    assert (finding.code, finding.names) == ("duplicates", ("s0", "s5"))
    assert "of patients p0 and p5, now one patient" in finding.message


def test_contradicting_labels_of_a_copy_are_told(tmp_path: Path) -> None:
    assert "their labels differ" in cohort_with_copy(tmp_path, label="normal").findings[0].message


def test_patients_who_share_a_slide_are_refused_when_asked(tmp_path: Path) -> None:
    with pytest.raises(LeakError, match="s0 and s5 \\(equal features\\)"):
        cohort_with_copy(tmp_path, duplicates="refuse")


def test_patients_who_share_a_slide_stay_apart_only_when_asked(tmp_path: Path) -> None:
    cohort = cohort_with_copy(tmp_path, duplicates="report")
    assert len({case.patient for case in cohort.cases}) == 6
    assert "kept apart, as asked" in cohort.findings[0].message

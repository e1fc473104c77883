from pathlib import Path

from tests.train.make_cohort import drawn_cohort
from wsi.train import make_splits, read_splits, write_splits
from wsi.train.bags import Bags


def test_labels_and_features_become_cases_and_folds(tmp_path: Path) -> None:
    rows = [
        {"slide": f"s{at}", "patient": f"p{at // 2}", "label": "tumor" if at % 4 < 2 else "normal"} for at in range(20)
    ]
    cohort = drawn_cohort(tmp_path, rows)
    splits = make_splits(cohort, folds=5, seed=1)
    assert cohort.target("label").classes == ("normal", "tumor")
    assert sorted(at for fold in splits.folds for at in fold.test) == list(range(20))
    write_splits(tmp_path / "splits.json", cohort, splits)
    assert read_splits(tmp_path / "splits.json", cohort) == splits
    assert Bags(cohort)[3].shape == (6, 8)

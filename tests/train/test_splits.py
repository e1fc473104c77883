"""Folds by patient, alike in what they hold, the same for any order of rows, and sealed."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.train.make_cohort import write_csv
from wsi.errors import ArtifactError, LabelsError, LeakError, UsageError
from wsi.train import Case, Cohort, Fold, Splits, Target, make_splits, read_splits, write_splits
from wsi.train.seal import SCHEMES, seal
from wsi.train.settings import TrainConfig
from wsi.train.split_files import splits_from_file
from wsi.train.study import plan_splits

BINARY = Target("label", "binary", ("normal", "tumor"))


def drawn(
    patients: int = 40, *, slides: Sequence[int] = (1, 3, 2), sites: int = 5, share: float = 0.25, prefix: str = ""
) -> Cohort:
    """Patients with 1 to 3 slides, a quarter of them with tumor, spread over sites."""
    cases = []
    for patient in range(patients):
        label = "tumor" if patient % round(1 / share) == 0 else "normal"
        for slide in range(slides[patient % len(slides)]):
            name = f"{prefix}p{patient:03d}"
            site = f"site{patient // 2 % sites}" if sites else None
            cases.append(Case(f"{name}s{slide}", name, site, (f"{name}s{slide}",), {"label": label}, {}))
    return Cohort(tuple(cases), (BINARY,))


def patients_of(cohort: Cohort, cases: Sequence[int]) -> set[str]:
    return {cohort.cases[at].patient for at in cases}


def sites_of(cohort: Cohort, cases: Sequence[int]) -> set[str | None]:
    return {cohort.cases[at].site for at in cases}


@pytest.mark.parametrize("scheme", [one for one in SCHEMES if one != "file"])
@pytest.mark.parametrize("seed", range(3))
def test_no_patient_stands_on_two_sides(scheme: str, seed: int) -> None:
    cohort = drawn()
    splits = make_splits(cohort, scheme=scheme, repeats=2, seed=seed)  # type: ignore[arg-type]
    for fold in [*splits.folds, *(inner for outer in splits.folds for inner in outer.inner)]:
        sides = [patients_of(cohort, side) for side in (fold.train, fold.validation, fold.test)]
        assert all(sides)
        assert sum(map(len, sides)) == len(set().union(*sides))


@pytest.mark.parametrize(
    ("scheme", "count", "tested"),
    [
        ("k-fold", 5, 1),
        ("repeated-k-fold", 15, 3),
        ("nested", 5, 1),
        ("leave-one-out", 40, 1),
        ("leave-site-out", 5, 1),
    ],
)
def test_every_case_is_tested_as_often_as_the_scheme_says(scheme: str, count: int, tested: int) -> None:
    cohort = drawn()
    splits = make_splits(cohort, scheme=scheme, repeats=3)  # type: ignore[arg-type]
    assert len(splits.folds) == count
    counts = Counter(at for fold in splits.folds for at in fold.test)
    assert counts == Counter(dict.fromkeys(range(len(cohort)), tested))
    for fold in splits.folds:
        assert sorted((*fold.train, *fold.validation, *fold.test)) == list(range(len(cohort)))


def test_folds_hold_alike_shares_of_a_label() -> None:
    cohort = drawn(100, slides=(1,))
    for seed in range(5):
        for fold in make_splits(cohort, folds=5, seed=seed).folds:
            assert len(fold.test) == 20
            assert cohort.labels("label")[list(fold.test)].sum() == 5
            assert len(fold.validation) == 16
            assert cohort.labels("label")[list(fold.validation)].sum() == 4


def test_folds_of_patients_with_several_slides_are_near_the_shares() -> None:
    cohort = drawn(120)
    labels = cohort.labels("label")[:, 0]
    for fold in make_splits(cohort, folds=4, seed=3).folds:
        assert abs(len(fold.test) - len(cohort) / 4) <= 2
        assert abs(labels[list(fold.test)].sum() - labels.sum() / 4) <= 2


def spread(cohort: Cohort, parts: Sequence[Sequence[int]]) -> float:
    """Largest distance of a fold's share of tumor from the whole's."""
    labels = cohort.labels("label")[:, 0]
    return float(max(abs(labels[list(part)].mean() - labels.mean()) for part in parts))


def test_folds_are_as_alike_as_scikit_learns() -> None:
    from sklearn.model_selection import StratifiedGroupKFold

    for patients in (23, 40, 77):
        cohort = drawn(patients)
        groups = [case.patient for case in cohort.cases]
        labels = cohort.labels("label")[:, 0]
        theirs = [
            test for _, test in StratifiedGroupKFold(5, shuffle=True, random_state=0).split(labels, labels, groups)
        ]
        ours = [fold.test for fold in make_splits(cohort).folds]
        assert spread(cohort, ours) <= spread(cohort, theirs) + 0.02


@pytest.mark.parametrize("scheme", ["k-fold", "holdout", "nested"])
def test_each_site_stays_on_one_side(scheme: str) -> None:
    cohort = drawn(sites=9)
    for fold in make_splits(cohort, scheme=scheme, folds=3, inner=2, site=True).folds:  # type: ignore[arg-type]
        for one in (fold, *fold.inner):
            sides = [sites_of(cohort, side) for side in (one.train, one.validation, one.test)]
            assert all(sides)
            assert sum(map(len, sides)) == len(set().union(*sides))


def test_leave_site_out_tests_each_site_alone() -> None:
    cohort = drawn()
    splits = make_splits(cohort, scheme="leave-site-out")
    assert [fold.name for fold in splits.folds] == [f"without site{n}" for n in range(5)]
    assert [sites_of(cohort, fold.test) for fold in splits.folds] == [{f"site{n}"} for n in range(5)]


def test_a_patient_of_two_sites_keeps_them_together() -> None:
    cohort = drawn(sites=4)
    one = cohort.cases[0]
    moved = Case(one.id, one.patient, "site1", one.slides, one.targets, {})
    extra = Case("p000s9", one.patient, "site0", ("p000s9",), one.targets, {})
    cohort = Cohort((moved, extra, *cohort.cases[1:]), cohort.targets)
    names = [fold.name for fold in make_splits(cohort, scheme="leave-site-out").folds]
    assert names == ["without site0 + site1", "without site2", "without site3"]


def test_sites_must_be_known_to_be_kept() -> None:
    with pytest.raises(LabelsError, match="no site"):
        make_splits(drawn(sites=0), site=True)


def test_seed_alone_decides() -> None:
    one, again, other = (make_splits(drawn(), seed=seed) for seed in (7, 7, 8))
    assert one == again
    assert one.digest != other.digest


def test_inner_folds_test_all_that_the_outer_does_not() -> None:
    cohort = drawn()
    for fold in make_splits(cohort, scheme="nested", inner=4).folds:
        assert len(fold.inner) == 4
        assert sorted(at for inner in fold.inner for at in inner.test) == sorted((*fold.train, *fold.validation))


def test_validation_can_be_left_out() -> None:
    assert all(fold.validation == () for fold in make_splits(drawn(), validation=0).folds)


@pytest.mark.parametrize(
    ("target", "values"),
    [
        (Target("x", "regression"), [{"x": float(n)} for n in range(60)]),
        (Target("os", "survival", (), ("t", "e")), [{"t": float(n % 30), "e": float(n < 12)} for n in range(60)]),
        (Target("f", "multilabel", ("a", "b")), [{"a": float(n % 6 == 0), "b": float(n % 4 == 0)} for n in range(60)]),
        (Target("g", "ordinal", ("0", "1", "2")), [{"g": None if n % 10 == 0 else str(n % 3)} for n in range(60)]),
    ],
)
def test_every_kind_of_target_is_stratified(target: Target, values: Sequence[Mapping[str, float | str | None]]) -> None:
    cases = tuple(Case(f"c{n:02d}", f"p{n}", None, (f"c{n}",), value, {}) for n, value in enumerate(values))
    cohort = Cohort(cases, (target,))
    labels = cohort.labels(target.name)
    for fold in make_splits(cohort, folds=3, seed=2).folds:
        assert len(fold.test) == 20
        found, whole = labels[list(fold.test)], labels
        assert abs(np.isnan(found).sum() - np.isnan(whole).sum() / 3) <= 1
        if target.kind == "regression":
            assert np.histogram(found, [0, 15, 30, 45, 60])[0].tolist() == [5, 5, 5, 5]
        elif target.kind == "survival":
            assert found[:, 1].sum() == 4
        elif target.kind == "multilabel":
            assert np.abs(found.sum(axis=0) - whole.sum(axis=0) / 3).max() < 1


@pytest.mark.parametrize("wrong", [{"folds": 1}, {"validation": 1.0}, {"holdout": 0.0}, {"repeats": 0}, {"inner": 1}])
def test_numbers_out_of_range_are_usage_errors(wrong: Mapping[str, float]) -> None:
    with pytest.raises(UsageError):
        make_splits(drawn(), **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("splits", "told"),
    [({"repeats": 5}, r"repeats: 5 is for repeated-k-fold, found k-fold"), ({"scheme": "file"}, "--splits FILE")],
)
def test_settings_that_no_scheme_follows_are_refused(splits: Mapping[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        plan_splits(drawn(), TrainConfig.model_validate({"splits": splits}))


def test_too_few_patients_are_told() -> None:
    with pytest.raises(LabelsError, match="4 patients can't make 5 parts"):
        make_splits(drawn(4))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("slides", [(1, 9), (40, 1, 1, 1, 1, 1), (9, 9, 1)])
def test_every_fold_tests_someone_even_of_few_patients(slides: Sequence[int], seed: int) -> None:
    for fold in make_splits(drawn(6, slides=slides), folds=5, seed=seed).folds:
        assert fold.train
        assert fold.test


def test_two_patients_to_train_on_are_one_to_stop_the_training_too() -> None:
    """Shares of 0.2 and 0.8 are nearest when both are trained on; but what was asked for is never left empty."""
    for fold in make_splits(drawn(3, slides=(9,)), folds=3).folds:
        assert (len(fold.train), len(fold.validation), len(fold.test)) == (9, 9, 9)


# --- sealed ---


def test_sealed_splits_come_back_as_they_were(tmp_path: Path) -> None:
    cohort = drawn()
    splits = make_splits(cohort, scheme="nested")
    assert write_splits(tmp_path / "splits.json", cohort, splits) == splits.digest
    assert json.loads((tmp_path / "splits.json").read_bytes())["sha256"] == splits.digest
    assert read_splits(tmp_path / "splits.json", cohort) == splits


def test_one_moved_case_is_noticed(tmp_path: Path) -> None:
    cohort = drawn()
    path = tmp_path / "splits.json"
    write_splits(path, cohort, make_splits(cohort))
    told = json.loads(path.read_bytes())
    told["folds"][0]["train"].append(told["folds"][0]["test"].pop())
    path.write_text(json.dumps(told))
    with pytest.raises(ArtifactError, match="changed since it was sealed"):
        read_splits(path, cohort)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"null", b"\xff", b'{"format": "wsi-splits/2"}', b"[" * 5000])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "splits.json").write_bytes(content)
    with pytest.raises(ArtifactError, match="make the splits again"):
        read_splits(tmp_path / "splits.json", drawn())


def test_splits_of_other_cases_are_refused_by_name(tmp_path: Path) -> None:
    cohort = drawn()
    write_splits(tmp_path / "splits.json", cohort, make_splits(cohort))
    with pytest.raises(ArtifactError, match="1 came, went or changed their patient \\(p039s0\\)"):
        read_splits(tmp_path / "splits.json", Cohort(cohort.cases[:-1], cohort.targets))


def test_leak_is_refused_with_names() -> None:
    cohort = drawn(2, slides=(2,))
    with pytest.raises(LeakError, match=r"p000 \(p000s0 in train, p000s1 in test\)"):
        seal(cohort, "file", [Fold("fold 1", (0, 2), (), (1, 3))])


def test_inner_fold_that_reaches_the_test_cases_is_refused() -> None:
    cohort = drawn(4, slides=(1,))
    fold = Fold("fold 1", (0, 1), (), (2, 3), (Fold("inner", (0,), (), (2,)),))
    with pytest.raises(LeakError, match="holds patients it tests: p002"):
        seal(cohort, "file", [fold])


# --- given ---


def given(tmp_path: Path, rows: Sequence[Mapping[str, object]], cohort: Cohort) -> Splits:
    return splits_from_file(write_csv(tmp_path / "splits.csv", rows), cohort)


def test_given_sides_are_taken(tmp_path: Path) -> None:
    cohort = drawn(6, slides=(1, 2))
    sides = ["train", "Val", "test"]
    rows = [{"slide": f"{case.id}.svs", "split": sides[int(case.patient[1:]) % 3]} for case in cohort.cases]
    (fold,) = given(tmp_path, rows, cohort).folds
    assert patients_of(cohort, fold.train) == {"p000", "p003"}
    assert patients_of(cohort, fold.validation) == {"p001", "p004"}
    assert patients_of(cohort, fold.test) == {"p002", "p005"}


def test_given_numbers_are_folds(tmp_path: Path) -> None:
    cohort = drawn(6, slides=(2,))
    rows = [{"patient": f"P-{n}", "fold": n % 3} for n in range(6)]
    splits = given(tmp_path, rows, cohort)
    assert [patients_of(cohort, fold.test) for fold in splits.folds] == [
        {"p000", "p003"},
        {"p001", "p004"},
        {"p002", "p005"},
    ]


def test_given_lists_of_clam_are_taken(tmp_path: Path) -> None:
    cohort = drawn(6, slides=(1,))
    for n in range(2):
        rows = [
            {"": 0, "train": "p000s0", "val": "p001s0", "test": "p002s0"},
            {"": 1, "train": "p003s0", "val": "", "test": ""},
        ]
        write_csv(tmp_path / f"splits_{n}.csv", [{"row": row.pop(""), **row} for row in rows])
    splits = splits_from_file(tmp_path, cohort)
    assert [fold.name for fold in splits.folds] == ["splits_0", "splits_1"]
    assert splits.folds[0].train == (0, 3)
    assert splits.folds[0].test == (2,)


def test_given_leak_is_refused_with_names(tmp_path: Path) -> None:
    cohort = drawn(4, slides=(2,))
    rows = [{"slide": case.id, "split": ["train", "test"][at % 2]} for at, case in enumerate(cohort.cases)]
    with pytest.raises(LeakError, match=r"4 patients stand on two sides: p000 .*p003"):
        given(tmp_path, rows, cohort)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"slide": "p000s9", "split": "train"}], "line 2: 'p000s9' is no case.*Did you mean 'p000s0'"),
        ([{"slide": "p000s0", "split": "train"}, {"slide": "p001s0", "split": "3"}], "expected train, val and test"),
        ([{"slide": "p000s0", "split": ""}], "line 2: column 'split' is empty"),
        ([{"slide": "p000s0", "split": "train"}], "tests 0"),
        ([{"slide": "p000s0", "split": "train"}, {"slide": "p001s0", "split": "val"}], "tests 0; expected both"),
        ([{"slide": "p000s0", "fold": "1"}], "one fold only"),
        ([{"slide": "p000s0", "label": "1"}], "expected a slide, case or patient and a column split or fold"),
    ],
)
def test_unusable_split_file_is_told(tmp_path: Path, rows: list[dict[str, str]], told: str) -> None:
    with pytest.raises(LabelsError, match=told):
        given(tmp_path, rows, drawn(4, slides=(1,)))


def test_sealed_file_can_be_given(tmp_path: Path) -> None:
    cohort = drawn()
    splits = make_splits(cohort)
    write_splits(tmp_path / "splits.json", cohort, splits)
    assert splits_from_file(tmp_path / "splits.json", cohort) == splits

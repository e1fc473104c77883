"""The trap: labels mean nothing, but slides of a patient look alike. Only splits by patient see that nothing is learnt."""

from pathlib import Path

import numpy as np

from tests.train.make_cohort import write_csv
from wsi.evaluate import auc
from wsi.train import Case, Cohort, Fold, Target, make_splits, read_cohort
from wsi.train.bags import Bags
from wsi.train.logistic import fit_logistic

SEEDS = 20
PATIENTS, SLIDES, WIDTH = 100, 3, 48


def drawn(seed: int, *, disguised: bool = False) -> tuple[Cohort, np.ndarray]:
    """Patients with a label each at random, and slides that have the patient's own look, `(cases, WIDTH)`."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(PATIENTS) % 2)
    look = rng.normal(size=(PATIENTS, WIDTH))
    cases = []
    for patient in range(PATIENTS):
        for slide in range(SLIDES):
            name = f"p{patient:03d}s{slide}"
            owner = name if disguised else f"p{patient:03d}"
            cases.append(Case(name, owner, None, (name,), {"label": ("a", "b")[labels[patient]]}, {}))
    features = np.repeat(look, SLIDES, axis=0) + rng.normal(size=(PATIENTS * SLIDES, WIDTH)) * 0.3
    return Cohort(tuple(cases), (Target("label", "binary", ("a", "b")),)), features


def area(cohort: Cohort, features: np.ndarray, folds: tuple[Fold, ...]) -> float:
    """Mean AUC of the folds."""
    labels = cohort.labels("label")[:, 0].astype(int)
    found = []
    for fold in folds:
        train, test = [*fold.train, *fold.validation], list(fold.test)
        scores = fit_logistic(features[train], labels[train], count=2, ridge=1.0)(features[test])[:, 1]
        figure = auc(labels[test], scores)
        assert figure.value is not None
        found.append(figure.value)
    return float(np.mean(found))


def test_random_labels_are_worth_nothing_when_split_by_patient() -> None:
    areas = [area(*drawn(seed), make_splits(drawn(seed)[0], seed=seed).folds) for seed in range(SEEDS)]
    assert abs(np.mean(areas) - 0.5) <= 0.06


def test_the_trap_is_real_when_split_by_slide() -> None:
    areas = [area(*drawn(seed), make_splits(drawn(seed, disguised=True)[0], seed=seed).folds) for seed in range(SEEDS)]
    assert np.mean(areas) > 0.75


def test_the_trap_stays_shut_when_every_slide_spells_its_patient_otherwise(tmp_path: Path) -> None:
    spellings = ("P-{:03d}", "p {}", "Ｐ_{:04d}.svs")
    areas = []
    for seed in range(5):
        cohort, features = drawn(seed)
        np.savez(tmp_path / f"{seed}.npz", x=features, bag=np.arange(len(features)))
        rows = [
            {"slide": at, "patient": spellings[at % SLIDES].format(at // SLIDES), "label": case.targets["label"]}
            for at, case in enumerate(cohort.cases)
        ]
        found = read_cohort(write_csv(tmp_path / "l.csv", rows), tmp_path / f"{seed}.npz", targets=["label"])
        assert len({case.patient for case in found.cases}) == PATIENTS
        bags = Bags(found)
        read = np.concatenate([bags[at] for at in range(len(found))]).astype(np.float64)
        areas.append(area(found, read, make_splits(found, seed=seed).folds))
    assert abs(np.mean(areas) - 0.5) <= 0.12

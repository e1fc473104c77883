"""The linear head against scikit-learn, and what a background changes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from tests.train.drawn import DIM, Bags, draw_bags
from tests.train.studies import IDENTITY as ENCODER
from tests.train.studies import cohort_of, config, study_of, write_bag
from wsi.card import ModelCard
from wsi.config import read_yaml
from wsi.errors import EncoderMismatchError, LabelsError, UsageError
from wsi.train.background import TILES, some_tiles
from wsi.train.candidate import Candidate, train_head
from wsi.train.crossval import run_folds
from wsi.train.linear import fit_linear_head
from wsi.train.run import Asked, plan, train
from wsi.train.study import Study
from wsi.train.tasks import fitted

LINEAR = {"aggregate": "linear"}
CLOT = np.array([0.0, 0.0, 60.0, 0.0, 0.0], np.float32)
"""What a tile of the drawn background has that others lack."""
CLOTS = 3


def study(folder: Path, *, mixed: bool = False, background: Path | None = None, **linear: object) -> Study:
    """Return 24 cases of two classes; mixed: the last tiles of each bag are clot, whose feature 0 says the contrary."""
    labels = np.arange(24) % 2
    bags = draw_bags(4.0 * labels.astype(np.float64), tiles=(6, 9))
    if mixed:
        clots = [-60.0 * np.eye(1, DIM, dtype=np.float32) * (2 * y - 1) + CLOT for y in labels]
        bags = Bags(tuple(np.concatenate([b, b[:CLOTS] + c]) for b, c in zip(bags.bags, clots, strict=True)))
    cohort = cohort_of(folder, bags, {"grade": ["b" if y else "a" for y in labels]}, target="grade:binary:a,b")
    told = {"background": None if background is None else str(background), **linear}
    return study_of(cohort, config(head=LINEAR, linear=told))


def write_clots(folder: Path, *, names: tuple[str, ...] = ("clot.h5",)) -> Path:
    rng = np.random.default_rng(1)
    for name in names:
        write_bag(folder / name, (rng.normal(0, 10, (30, DIM)) + 3 + CLOT).astype(np.float32), ENCODER)
    return folder


def test_without_a_background_it_is_the_logistic_regression_of_the_mean_tiles(tmp_path: Path) -> None:
    made = study(tmp_path, ridge=3.0)
    task = fitted(made.task, made.labels, balanced=True)
    head = fit_linear_head(made, task, range(24))
    rows = np.stack([made.bags[i].mean(axis=0) for i in range(24)])
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    labels = made.labels[:, 0]
    expected = LogisticRegression(C=1 / 3.0, class_weight="balanced", tol=1e-10, max_iter=5000).fit(rows, labels)
    found = [float(head.read(torch.from_numpy(made.bags[i])).logits) for i in range(24)]
    np.testing.assert_allclose(found, expected.decision_function(rows), atol=2e-3)


def test_the_logit_of_a_bag_is_the_mean_of_its_tiles(tmp_path: Path) -> None:
    made = study(tmp_path)
    reading = fit_linear_head(made, made.task, range(24)).read(torch.from_numpy(made.bags[3]))
    torch.testing.assert_close(reading.logits, reading.tile_logits.mean(dim=0))
    torch.testing.assert_close(reading.attention, torch.full((len(made.bags[3]),), 1 / len(made.bags[3])))


def test_a_background_is_passed_over_and_stays_cold(tmp_path: Path) -> None:
    made = study(tmp_path / "with", mixed=True, background=write_clots(tmp_path / "clots"), ridge=10.0, cost=20.0)
    deaf = study(tmp_path / "without", mixed=True, ridge=10.0)
    knowing, unknowing = (fit_linear_head(one, one.task, range(24)) for one in (made, deaf))
    hits = {True: 0, False: 0}
    for case in range(24):
        bag = torch.from_numpy(made.bags[case])
        tissue = bag[:-CLOTS]
        reading = knowing.read(bag)
        assert reading.attention[-CLOTS:].sum() < 0.1
        assert reading.tile_logits[-CLOTS:].mean() < reading.tile_logits[:-CLOTS].mean() - 2
        for head in (knowing, unknowing):
            hits[head is knowing] += bool(head.read(tissue).logits > 0) == bool(case % 2)
    assert hits[True] >= 20
    assert hits[False] <= 12


def test_background_of_a_held_out_slide_is_not_seen(tmp_path: Path) -> None:
    clots = write_clots(tmp_path / "clots", names=("s000.h5", "s001.h5", "clot.h5"))
    made = study(tmp_path / "cohort", background=clots)
    assert [bag.name for bag in made.background.for_cases([1, 2])] == ["clot.h5", "s001.h5"]
    before = fit_linear_head(made, made.task, range(1, 24)).state_dict()
    write_bag(clots / "s000.h5", np.full((4, DIM), 99, np.float32), ENCODER)
    after = fit_linear_head(made, made.task, range(1, 24)).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_background_of_a_slide_in_another_form_is_of_that_slide(tmp_path: Path) -> None:
    clots = write_clots(tmp_path / "clots", names=("slides/s001/features.h5", "slides/clot/features.h5"))
    made = study(tmp_path / "cohort", background=clots)  # its features are s001.h5
    assert [bag.name for bag in made.background.bags] == ["clot", "s001"]
    assert [bag.name for bag in made.background.for_cases([0, 2])] == ["clot"]


def test_another_background_is_other_data(tmp_path: Path) -> None:
    plain, one, two = (
        study(tmp_path / name, background=at).data_digest
        for name, at in (
            ("a", None),
            ("b", write_clots(tmp_path / "x")),
            ("c", write_clots(tmp_path / "y", names=("z.h5", "w.h5"))),
        )
    )
    assert len({plain, one, two}) == 3


@pytest.mark.parametrize(
    ("target", "labels"),
    [("g:multiclass:a,b,c", "abc"), ("g:ordinal:a,b,c", "abc"), ("g:regression", (1.5, 2.5, 7.0))],
)
def test_it_learns_every_kind_of_target(target: str, labels: tuple[object, ...], tmp_path: Path) -> None:
    bags = draw_bags(3.0 * (np.arange(30) % 3).astype(np.float64), share=1.0)
    cohort = cohort_of(tmp_path, bags, {"g": [labels[i % 3] for i in range(30)]}, target=target)
    made = study_of(cohort, config(head=LINEAR, linear={"ridge": 1.0}))
    trained = train_head(made, Candidate(made.spec, made.config.fit), range(30), (), tmp_path / "none", place=(0,))
    first = [float(trained.head.read(torch.from_numpy(bags(i))).logits[-1]) for i in range(30)]
    assert np.corrcoef(first, np.arange(30) % 3)[0, 1] > 0.6
    assert not (tmp_path / "none").exists()


def test_cox_model_is_centered_on_its_training_cases(tmp_path: Path) -> None:
    bags = draw_bags(np.linspace(0, 4, 24), share=1.0)
    cohort = cohort_of(tmp_path, bags, {"t": [30 - i for i in range(24)], "e": [1] * 24}, target="os:survival:t,e")
    made = study_of(cohort, config(head=LINEAR))
    trained = train_head(made, Candidate(made.spec, made.config.fit), range(24), (), tmp_path / "none", place=(0,))
    risks = [float(trained.head.read(torch.from_numpy(bags(i))).logits) for i in range(24)]
    assert trained.task.center == pytest.approx(float(np.mean(risks)))
    assert np.corrcoef(risks, range(24))[0, 1] > 0.5


def test_run_writes_a_model_that_reads_as_gated_attention(tmp_path: Path) -> None:
    made = study(tmp_path, background=write_clots(tmp_path / "clots"))
    asked = Asked(tmp_path / "labels.csv", tmp_path / "features", "grade:binary:a,b")
    for out in ("one", "two"):
        train(plan(asked, made.config, with_model=True), tmp_path / f"run-{out}", out=tmp_path / out / "m")
    one, two = (sorted((tmp_path / out / "m").iterdir()) for out in ("one", "two"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    card = read_yaml(tmp_path / "one" / "m" / "model.yaml", ModelCard)
    assert card.head.aggregate == "gated-attention"
    assert "1 bags of background" in (tmp_path / "one" / "m" / "README.md").read_text()


def test_wrong_backgrounds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="no such folder"):
        study(tmp_path / "a", background=tmp_path / "nothing")
    other = write_clots(tmp_path / "other", names=("s000.h5",))
    made = study(tmp_path / "b", background=other)
    with pytest.raises(UsageError, match="no tile is left"):
        fit_linear_head(made, made.task, range(1, 24))
    write_bag(other / "odd.h5", np.ones((3, DIM), np.float32), replace(ENCODER, weights_sha256="1" * 64))
    odd = study(tmp_path / "c", background=other)
    with pytest.raises(EncoderMismatchError):
        fit_linear_head(odd, odd.task, range(24))


def test_background_and_search_are_refused_where_they_would_do_nothing(tmp_path: Path) -> None:
    clots = write_clots(tmp_path / "clots")
    cohort = study(tmp_path / "cohort").cohort
    with pytest.raises(UsageError, match="--head linear"):
        study_of(cohort, config(linear={"background": str(clots)}))
    with pytest.raises(UsageError, match="no settings to search"):
        run_folds(study_of(cohort, config(head=LINEAR, search={"trials": 2})), tmp_path)


def test_large_bags_give_tiles_of_all_their_length() -> None:
    bag = np.arange(1000, dtype=np.float32)[:, None]
    some = some_tiles(bag)[:, 0]
    assert len(some) == TILES
    assert (some[0], some[-1]) == (0, 999)
    assert np.ptp(np.diff(some)) <= 1

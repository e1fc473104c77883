"""Draws of patients: the same for all arrays, whole patients at once, and honest about draws that give nothing."""

import numpy as np
import pytest
from scipy import stats

from tests.evaluate.draw import clustered, study
from wsi.evaluate import Figure, auc, auc_interval, bootstrap_interval
from wsi.evaluate.bootstrap import draws


def mean(values: np.ndarray) -> Figure:
    return Figure("mean", float(values.mean()), n=len(values))


def test_interval_is_near_scipys() -> None:
    values = np.random.default_rng(0).exponential(size=60)
    ours = bootstrap_interval(mean, [values], rounds=6000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=6000, method="BCa", rng=1).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_interval_of_an_auc_is_near_delongs() -> None:
    drawn = clustered(np.random.default_rng(1), patients=150, most=3, share=0.4, distance=1, icc=0.4, mixed=True)
    ours = bootstrap_interval(auc, [drawn.labels, drawn.scores], patients=drawn.patients)
    closed = auc_interval(drawn.labels, drawn.scores, patients=drawn.patients)
    assert (ours.low, ours.high) == pytest.approx((closed.low, closed.high), abs=0.015)


def test_patients_are_drawn_whole() -> None:
    patients = np.array(["a", "b", "b", "c", "c", "c"])
    rows = np.arange(6)
    seen: list[np.ndarray] = []

    def look(places: np.ndarray) -> Figure:
        seen.append(places)
        return Figure("x", 0.0)

    draws(look, [rows], patients=patients, rounds=50)
    assert len(seen) == 50
    for places in seen:
        counts = np.bincount(places, minlength=6)
        assert counts[1] == counts[2]
        assert counts[3] == counts[4] == counts[5]
        assert counts[0] + counts[1] + counts[3] == 3


def test_same_seed_gives_the_same_interval() -> None:
    drawn = study(4)
    one, two, other = (bootstrap_interval(auc, [drawn.labels, drawn.scores], rounds=200, seed=s) for s in (1, 1, 2))
    assert one == two
    assert one != other


def test_draws_without_a_figure_are_counted() -> None:
    figure = bootstrap_interval(auc, [[1, 1, 0, 0, 0, 0, 0, 0], np.arange(8)], rounds=500)
    assert figure.value == 0.0
    assert figure.low is None
    lone = bootstrap_interval(auc, [[1, 0, 0, 0, 0, 0], [3, 1, 2, 4, 5, 6]], rounds=500)
    assert lone.value is not None
    assert lone.reason.startswith("no interval: 1")
    assert lone.reason.endswith("of 500 draws gave no figure")
    some = bootstrap_interval(auc, [[1, 1, 1, 0, 0, 0, 0], [1, 3, 2, 4, 2, 0, 1]], rounds=500)
    assert some.low is not None
    assert some.reason.endswith("of 500 draws gave no figure")


def test_one_patient_or_no_figure_has_no_interval() -> None:
    assert "of one patient" in bootstrap_interval(auc, [[0, 1], [0.1, 0.2]], patients=["a", "a"]).reason
    assert bootstrap_interval(auc, [[0, 0], [0.1, 0.2]]).reason == "no case is positive (2 negative)"
    assert "the same figure" in bootstrap_interval(mean, [np.ones(5)]).reason

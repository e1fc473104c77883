"""Leaving out patients: as SciPy's logit and a plain loop have it, and honest at the ends."""

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import t

from tests.evaluate.draw import clustered, study
from wsi.evaluate import auc, auc_interval, average_precision, jackknife_interval
from wsi.evaluate.jackknife import MOST_BLOCKS, blocks


def test_interval_equals_the_plain_loop() -> None:
    drawn = clustered(np.random.default_rng(0), patients=30, most=4, share=0.4, distance=1, icc=0.4, mixed=True)
    figure = jackknife_interval(average_precision, [drawn.labels, drawn.scores], patients=drawn.patients)
    without = []
    for one in range(30):
        kept = drawn.patients != one
        without.append(logit(average_precision(drawn.labels[kept], drawn.scores[kept]).value))
    away = (np.array(without) - np.mean(without)) ** 2
    width = t.ppf(0.975, 2 * away.sum() ** 2 / np.sum(away**2)) * np.sqrt(29 / 30 * away.sum())
    center = logit(average_precision(drawn.labels, drawn.scores).value)
    assert (figure.low, figure.high) == pytest.approx(tuple(expit([center - width, center + width])), abs=1e-9)
    assert figure.patients == 30


def test_interval_of_an_auc_is_near_delongs() -> None:
    drawn = clustered(np.random.default_rng(1), patients=1000, most=3, share=0.4, distance=1, icc=0.4, mixed=False)
    ours = jackknife_interval(auc, [drawn.labels, drawn.scores], patients=drawn.patients)
    closed = auc_interval(drawn.labels, drawn.scores, patients=drawn.patients)
    assert (ours.low, ours.high) == pytest.approx((closed.low, closed.high), abs=0.004)


def test_many_patients_are_left_out_in_blocks_that_hold_everyone_once() -> None:
    owner = np.repeat(np.arange(1000), 2)
    dealt = blocks(owner)
    assert len(dealt) == MOST_BLOCKS
    np.testing.assert_array_equal(np.sort(np.concatenate(dealt)), np.arange(2000))
    assert all(np.bincount(owner[block]).max() == 2 and len(block) in (4, 6) for block in dealt)


def test_what_has_no_interval_says_why() -> None:
    assert "end of the scale" in jackknife_interval(average_precision, [[0, 0, 1, 1], [1, 2, 3, 4]]).reason
    assert "of one patient" in jackknife_interval(auc, [[0, 1, 0], [2, 1, 0]], patients=["a"] * 3).reason
    lone = jackknife_interval(auc, [[0, 0, 1], [1, 3, 2]])
    assert lone.value == 0.5
    assert "without one of the patients" in lone.reason
    drawn = study(1)
    assert jackknife_interval(auc, [drawn.labels * 0, drawn.scores]).reason.startswith("no case is positive")

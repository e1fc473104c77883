"""Intervals of any figure by drawing patients anew, all their cases together."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from wsi.evaluate.binary import Floats, Patients, patient_index
from wsi.evaluate.figure import Figure
from wsi.evaluate.jackknife import Measure, blocks, left_out

ROUNDS = 2000
MOST_LOST = 0.2
"""Above this share of draws in which the figure isn't estimable, its interval isn't either."""


def bootstrap_interval(
    measure: Measure,
    arrays: Sequence[ArrayLike],
    *,
    patients: Patients = None,
    rounds: int = ROUNDS,
    level: float = 0.95,
    seed: int = 0,
    drawn: Floats | None = None,
) -> Figure:
    """Return the figure with an interval from draws of as many patients, with replacement.

    Args:
        measure: makes the figure from arrays like `arrays`; the same draw for all, so pairs stay pairs.
        arrays: each `(n, ...)`, a row a case.
        patients: `(n,)`; None: each case is drawn by itself.
        drawn: what `draws` gave for the same measure, arrays and patients; None: they are made here.

    The interval is bias-corrected and accelerated (BCa). Draws in which the figure isn't estimable (a class is
    lacking) are left out and counted in `reason`.

    Source: Efron 1987; Field and Welsh 2007 for the draw of whole patients.
    """
    columns = [np.asarray(one) for one in arrays]
    figure = measure(*columns)
    owner = patient_index(patients, len(columns[0]))
    held = int(owner.max()) + 1 if len(owner) else 0
    if figure.value is None:
        return figure
    figure = replace(figure, low=None, high=None, patients=held)
    if held < 2:
        return replace(figure, reason="no interval: all cases are of one patient")
    if drawn is None:
        drawn = draws(measure, columns, patients=patients, rounds=rounds, seed=seed)
    lost = f"{rounds - len(drawn)} of {rounds} draws gave no figure" if len(drawn) < rounds else ""
    if len(drawn) < (1 - MOST_LOST) * rounds:
        return replace(figure, reason=f"no interval: {lost}")
    if np.ptp(drawn) < 1e-12:
        return replace(figure, reason="no interval: every draw of patients gives the same figure")
    low, high = _bca(drawn, float(figure.value or 0.0), left_out(measure, columns, blocks(owner)), level)
    return replace(figure, low=low, high=high, reason=lost, method=f"bootstrap of patients, BCa, {rounds} draws")


def draws(
    measure: Measure, arrays: Sequence[ArrayLike], *, patients: Patients = None, rounds: int = ROUNDS, seed: int = 0
) -> Floats:
    """Return the figure's values over draws of patients; shorter than `rounds` where some draws gave none."""
    columns = [np.asarray(one) for one in arrays]
    owner = patient_index(patients, len(columns[0]))
    order, sizes = np.argsort(owner, kind="stable"), np.bincount(owner)
    starts = np.cumsum(sizes) - sizes
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(rounds):
        drawn = rng.integers(0, len(sizes), len(sizes))
        held = sizes[drawn]
        shift = starts[drawn] - (np.cumsum(held) - held)  # from a case's place in the draw to its place in `order`
        rows = order[np.repeat(shift, held) + np.arange(held.sum())]
        value = measure(*(column[rows] for column in columns)).value
        if value is not None:
            found.append(value)
    return np.array(found)


def _bca(drawn: Floats, value: float, without: Floats, level: float) -> tuple[float, float]:
    """Return the ends of the interval: quantiles of the draws, moved for their bias and skew."""
    below = ((drawn < value).sum() + 0.5 * (drawn == value).sum()) / len(drawn)
    bias = float(ndtri(np.clip(below, 1 / (len(drawn) + 1), 1 - 1 / (len(drawn) + 1))))
    left = without[~np.isnan(without)]
    away = left.mean() - left if len(left) else np.zeros(1)
    spread = float((away**2).sum())
    skew = float((away**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    ends = []
    for chance in ((1 - level) / 2, (1 + level) / 2):
        z = bias + float(ndtri(chance))
        ends.append(float(ndtr(bias + z / (1 - skew * z))))
    low, high = np.quantile(drawn, ends)
    return float(min(low, value)), float(max(high, value))

"""Intervals of shares that have no closed form, by leaving out each patient in turn."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit, stdtrit

from wsi.evaluate.binary import Floats, Ints, Patients, patient_index
from wsi.evaluate.figure import Figure

Measure = Callable[..., Figure]
MOST_BLOCKS = 400
"""More patients are left out in as many blocks, dealt by a fixed seed."""
_EDGE = 1e-9


def jackknife_interval(
    measure: Measure, arrays: Sequence[ArrayLike], *, patients: Patients = None, level: float = 0.95
) -> Figure:
    """Return a figure that lies from 0 to 1 with an interval on the logit scale.

    Args:
        measure: makes the figure from arrays like `arrays`.
        arrays: each `(n, ...)`, a row a case.
        patients: `(n,)`; all cases of a patient are left out together.

    Student's quantile has Satterthwaite's degrees of freedom: few where few patients make most of the variance.

    A figure of 0 or 1, or one that isn't estimable without some patient, has no interval.

    Source: Efron and Tibshirani 1993, eq. 11.5; the logit scale as Boyd et al. 2013 advise for the AUPRC.
    """
    columns = [np.asarray(one) for one in arrays]
    figure = measure(*columns)
    value = figure.value
    if value is None:
        return figure
    owner = patient_index(patients, len(columns[0]))
    figure = replace(figure, low=None, high=None, patients=int(owner.max()) + 1)
    if (figure.patients or 0) < 2:
        return replace(figure, reason="no interval: all cases are of one patient")
    if not _EDGE < value < 1 - _EDGE:
        return replace(figure, reason=f"no interval: {value:.0f} is the end of the scale")
    values = left_out(measure, columns, blocks(owner))
    if np.isnan(values).any():
        return replace(figure, reason="no interval: without one of the patients there is no figure")
    count = len(values)
    scaled = logit(np.clip(values, _EDGE, 1 - _EDGE))
    away = (scaled - scaled.mean()) ** 2
    if not away.any():
        return replace(figure, reason="no interval: no patient makes a difference")
    freedom = 2 * away.sum() ** 2 / (away**2).sum()
    width = float(stdtrit(freedom, (1 + level) / 2) * np.sqrt((count - 1) / count * away.sum()))
    low, high = expit(logit(value) - width), expit(logit(value) + width)
    return replace(figure, low=float(low), high=float(high), method="jackknife of patients, logit scale")


def blocks(owner: Ints) -> list[Ints]:
    """Return the places of each patient's cases; of many patients, of as many blocks of them as MOST_BLOCKS."""
    held = int(owner.max()) + 1
    dealt = np.arange(held)
    if held > MOST_BLOCKS:
        dealt = np.random.default_rng(0).permutation(held) % MOST_BLOCKS
    block = dealt[owner]
    return np.split(np.argsort(block, kind="stable"), np.cumsum(np.bincount(block))[:-1])


def left_out(measure: Measure, columns: Sequence[np.ndarray], cases: Sequence[Ints]) -> Floats:
    """Return the figure without the cases at each of the places; NaN where it isn't estimable then."""
    kept = np.ones(len(columns[0]), bool)
    found = np.full(len(cases), np.nan)
    for at, places in enumerate(cases):
        kept[places] = False
        value = measure(*(column[kept] for column in columns)).value
        kept[places] = True
        if value is not None:
            found[at] = value
    return found

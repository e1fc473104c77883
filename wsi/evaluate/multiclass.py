"""One class against all others, and the mean over the classes."""

import numpy as np
from numpy.typing import ArrayLike

from wsi.evaluate.binary import Patients
from wsi.evaluate.classes import classified
from wsi.evaluate.delong import auc_interval
from wsi.evaluate.figure import Figure
from wsi.evaluate.jackknife import jackknife_interval
from wsi.evaluate.roc import auc


def one_vs_rest(truth: ArrayLike, probabilities: ArrayLike, *, patients: Patients = None) -> tuple[Figure, ...]:
    """Return the AUC of each class against all others, with DeLong's intervals.

    Args:
        truth: `(n,)` place of the class.
        probabilities: `(n, K)`.
    """
    cases = classified(truth, np.asarray(probabilities, np.float64))
    if cases.reason:
        return tuple(cases.no("AUC") for _ in range(cases.classes))
    return tuple(
        auc_interval(cases.truth == k, cases.probabilities[:, k], patients=patients) for k in range(cases.classes)
    )


def macro_auc(truth: ArrayLike, probabilities: ArrayLike) -> Figure:
    """Return the mean over the classes of the AUC of each against all others.

    Not estimable when a class has no case: a mean over the others would be another figure.

    Source: Provost and Domingos 2000, unweighted.
    """
    name = "AUC (macro, one vs rest)"
    cases = classified(truth, np.asarray(probabilities, np.float64))
    if reason := cases.reason or cases.lacking():
        return cases.no(name, reason)
    found = [auc(cases.truth == k, cases.probabilities[:, k]) for k in range(cases.classes)]
    if lone := next((one for one in found if one.value is None), None):
        return cases.no(name, lone.reason)
    return Figure(name, float(np.mean([one.value for one in found if one.value is not None])), n=cases.n)


def macro_auc_interval(truth: ArrayLike, probabilities: ArrayLike, *, patients: Patients = None) -> Figure:
    """Return `macro_auc` with an interval by leaving out patients."""
    return jackknife_interval(macro_auc, [truth, probabilities], patients=patients)

"""How near predicted numbers come: MAE, RMSE, R2, Pearson's and Spearman's correlation."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from wsi.evaluate.binary import Floats
from wsi.evaluate.figure import Figure
from wsi.evaluate.ranks import mean_ranks


def mae(truth: ArrayLike, predicted: ArrayLike) -> Figure:
    """Return the mean absolute error, in the unit of the target."""
    return _figure("MAE", truth, predicted, lambda y, f: float(np.abs(y - f).mean()))


def rmse(truth: ArrayLike, predicted: ArrayLike) -> Figure:
    """Return the root of the mean squared error, in the unit of the target."""
    return _figure("RMSE", truth, predicted, lambda y, f: float(np.sqrt(((y - f) ** 2).mean())))


def r2(truth: ArrayLike, predicted: ArrayLike) -> Figure:
    """Return the share of the variance that is explained; below 0: the mean would be a better guess."""
    return _figure("R2", truth, predicted, lambda y, f: 1 - float(((y - f) ** 2).sum() / _spread(y)), vary="truth")


def pearson(truth: ArrayLike, predicted: ArrayLike) -> Figure:
    """Return the linear correlation."""
    return _figure("Pearson", truth, predicted, _correlation, vary="both")


def spearman(truth: ArrayLike, predicted: ArrayLike) -> Figure:
    """Return the correlation of the ranks; equals share their mean rank."""
    return _figure("Spearman", truth, predicted, lambda y, f: _correlation(mean_ranks(y), mean_ranks(f)), vary="both")


def _figure(
    name: str, truth: ArrayLike, predicted: ArrayLike, measure: Callable[[Floats, Floats], float], *, vary: str = ""
) -> Figure:
    """Return a figure of pairs; vary: which numbers must not all be the same ("truth", "both")."""
    y, f = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    if y.ndim != 1 or y.shape != f.shape:
        raise ValueError(f"truth {y.shape} and predicted {f.shape} must be (n,) and agree")
    n, least = len(y), 2 if vary else 1
    if n < least:
        return Figure.not_estimable(name, f"there is {'only one' if n else 'no'} case", n=n)
    for what, values in (("true values", y), ("predictions", f)):
        if wrong := int((~np.isfinite(values)).sum()):
            return Figure.not_estimable(name, f"{wrong} of {n} {what} are missing or not finite numbers", n=n)
        if (vary == "both" or (vary and values is y)) and not np.ptp(values) > 0:
            return Figure.not_estimable(name, f"all {n} {what} are the same", n=n)
    return Figure(name, measure(y, f), n=n)


def _spread(values: Floats) -> float:
    return float(((values - values.mean()) ** 2).sum())


def _correlation(one: Floats, other: Floats) -> float:
    a, b = one - one.mean(), other - other.mean()
    return float(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1))

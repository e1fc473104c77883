"""How far called classes agree with the true ones: confusion, balanced accuracy, F1, kappa."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from wsi.evaluate.binary import Floats, Ints
from wsi.evaluate.classes import unknown_classes
from wsi.evaluate.figure import Figure


def confusion(truth: ArrayLike, called: ArrayLike, *, classes: int) -> Ints:
    """Return the counts `(K, K)`: a row a true class, a column a called one.

    Raises:
        ValueError: shapes don't agree, or a place isn't 0 to K - 1.
    """
    rows, columns = np.asarray(truth, np.float64), np.asarray(called, np.float64)
    if rows.ndim != 1 or rows.shape != columns.shape:
        raise ValueError(f"truth {rows.shape} and called {columns.shape} must be (n,) and agree")
    for name, places in (("truth", rows), ("called", columns)):
        if len(places) and (reason := unknown_classes(places, classes)):
            raise ValueError(f"{name}: {reason}")
    flat = (rows * classes + columns).astype(np.int64)
    return np.bincount(flat, minlength=classes**2).reshape(classes, classes)


def accuracy(truth: ArrayLike, called: ArrayLike, *, classes: int) -> Figure:
    """Return the share of cases called right."""
    counts = _counted("Accuracy", truth, called, classes)
    if isinstance(counts, Figure):
        return counts
    n, right = int(counts.sum()), int(np.trace(counts))
    return Figure("Accuracy", right / n, n=n, count=right)


def balanced_accuracy(truth: ArrayLike, called: ArrayLike, *, classes: int = 2) -> Figure:
    """Return the mean over the classes of the share of their cases called right."""
    name = "Balanced accuracy"
    counts = _counted(name, truth, called, classes)
    if isinstance(counts, Figure):
        return counts
    sizes = counts.sum(axis=1)
    if not sizes.all():
        return _no_case(name, sizes)
    return Figure(name, float((np.diag(counts) / sizes).mean()), n=int(sizes.sum()))


def f1(truth: ArrayLike, called: ArrayLike, *, classes: int = 2) -> Figure:
    """Return the F1 score 2TP / (2TP + FP + FN): of class 1 where there are two, else the mean over the classes."""
    name = "F1" if classes == 2 else "F1 (macro)"
    counts = _counted(name, truth, called, classes)
    if isinstance(counts, Figure):
        return counts
    both = counts.sum(axis=0) + counts.sum(axis=1)
    wanted = np.array([1]) if classes == 2 else np.arange(classes)
    if not both[wanted].all():
        return Figure.not_estimable(name, "a class has no case, and none was called", n=int(counts.sum()))
    if classes > 2 and not counts.sum(axis=1).all():
        return _no_case(name, counts.sum(axis=1))
    return Figure(name, float((2 * np.diag(counts)[wanted] / both[wanted]).mean()), n=int(counts.sum()))


def kappa(truth: ArrayLike, called: ArrayLike, *, classes: int = 2) -> Figure:
    """Return Cohen's kappa: agreement beyond chance. Source: Cohen 1960."""
    return _kappa("Kappa", truth, called, 1.0 - np.eye(classes))


def quadratic_kappa(truth: ArrayLike, called: ArrayLike, *, classes: int) -> Figure:
    """Return kappa of ordered grades: a miss weighs the square of its distance. Source: Cohen 1968."""
    places = np.arange(classes)
    return _kappa("Quadratic kappa", truth, called, np.square(places[:, None] - places).astype(np.float64))


def _kappa(name: Literal["Kappa", "Quadratic kappa"], truth: ArrayLike, called: ArrayLike, weights: Floats) -> Figure:
    counts = _counted(name, truth, called, len(weights))
    if isinstance(counts, Figure):
        return counts
    n = int(counts.sum())
    by_chance = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / n
    if not (expected := float((weights * by_chance).sum())):
        return Figure.not_estimable(name, "all cases are of one class, and called so: chance agrees as well", n=n)
    return Figure(name, 1 - float((weights * counts).sum()) / expected, n=n)


def _counted(name: str, truth: ArrayLike, called: ArrayLike, classes: int) -> Ints | Figure:
    """Return the confusion, or the figure `name` as not estimable."""
    for what, places in (("true", truth), ("called", called)):
        values = np.asarray(places, np.float64)
        if reason := unknown_classes(values, classes):
            return Figure.not_estimable(name, reason if what == "true" else f"called classes: {reason}", n=len(values))
    return confusion(truth, called, classes=classes)


def _no_case(name: str, sizes: Ints) -> Figure:
    empty = ", ".join(map(str, np.flatnonzero(sizes == 0)))
    return Figure.not_estimable(name, f"no case is of class {empty} (of {sizes.sum()})", n=int(sizes.sum()))

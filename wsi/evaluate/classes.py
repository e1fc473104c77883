"""Cases of several classes, checked once for all figures over them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from wsi.evaluate.binary import Floats, Ints
from wsi.evaluate.figure import Figure


@dataclass(frozen=True, slots=True)
class Classified:
    """truth `(n,)` place of the class, probabilities `(n, K)`; where `reason` isn't empty they allow no figure."""

    truth: Ints
    probabilities: Floats
    reason: str

    @property
    def n(self) -> int:
        return len(self.truth)

    @property
    def classes(self) -> int:
        """K."""
        return int(self.probabilities.shape[1])

    def lacking(self) -> str:
        """Return the reason why no figure over all classes can be made: one has no case."""
        empty = sorted(set(range(self.classes)) - set(self.truth.tolist()))
        return f"no case is of class {', '.join(map(str, empty))} (of {self.n})" if empty else ""

    def no(self, name: str, reason: str = "") -> Figure:
        """Return the figure `name` as not estimable."""
        return Figure.not_estimable(name, reason or self.reason, n=self.n)


def classified(truth: ArrayLike, probabilities: Floats) -> Classified:
    """Return truth and probabilities in one form, and why they allow no figure.

    Args:
        truth: `(n,)` place of the class, 0 to K - 1; NaN: not known; another number: a class the model doesn't know.
        probabilities: `(n, K)`.

    Raises:
        ValueError: shapes don't agree.
    """
    places = np.asarray(truth, np.float64)
    if probabilities.ndim != 2 or places.shape != probabilities.shape[:1]:
        raise ValueError(f"truth {places.shape} and probabilities {probabilities.shape} must be (n,) and (n, K)")
    known = np.isin(places, np.arange(probabilities.shape[1]))
    reason = unknown_classes(places, probabilities.shape[1])
    if not reason and (wrong := int((~np.isfinite(probabilities)).any(axis=1).sum())):
        reason = f"{wrong} of {len(places)} cases have a probability that isn't a number"
    return Classified(np.where(known, places, 0).astype(np.int64), probabilities, reason)


def unknown_classes(places: Floats, classes: int) -> str:
    """Return why these places of classes allow no figure; empty when they do."""
    n, missing = len(places), int(np.isnan(places).sum())
    if not n:
        return "there is no case"
    if missing:
        return f"{missing} of {n} labels are missing"
    if strange := int((~np.isin(places, np.arange(classes))).sum()):
        return f"{strange} of {n} cases are of a class that the model doesn't know"
    return ""

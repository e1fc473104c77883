"""What bags a model has seen: principal axes of their mean features, and how far held-out ones lie from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wsi.train.seal import Fold
from wsi.train.tasks import Floats

AXES = 12
"""At most so many axes: of a few dozen bags the later ones are chance."""
MOST_AXES, ROWS_AN_AXIS = 32, 10
"""So many at most where what lies outside of them is measured, and so many rows for each."""
Method = Literal["mahalanobis", "residual"]
LEAST_SCALE = 1e-9


@dataclass(frozen=True, slots=True)
class Familiar:
    """mean `(D,)`, axes `(K, D)` and scale `(K,)` of the mean features of training bags."""

    mean: Floats
    axes: Floats
    scale: Floats
    method: Method = "mahalanobis"

    def distances(self, rows: Floats) -> Floats:
        """Return how far mean features `(n, D)` lie, `(n,)`: as `wsi.predict.familiar.Familiar.distance` does."""
        off = rows - self.mean
        places = off @ self.axes.T  # (n, K)
        outside = self.method == "residual"
        found: Floats = (
            np.linalg.norm(off - places @ self.axes, axis=1)
            if outside
            else np.sqrt(((places / self.scale) ** 2).mean(axis=1))
        )
        return found


def fit_familiar(rows: Floats, *, method: Method = "mahalanobis") -> Familiar | None:
    """Return the rule of mean features `(n, D)`; None where they don't vary.

    Args:
        method: residual needs some hundred rows: the axes must hold what is usual.
    """
    mean = rows.mean(axis=0)
    _, sizes, axes = np.linalg.svd(rows - mean, full_matrices=False)
    scale = sizes / np.sqrt(max(len(rows) - 1, 1))
    count = AXES if method == "mahalanobis" else max(1, min(MOST_AXES, len(rows) // ROWS_AN_AXIS))
    kept = np.flatnonzero(scale > max(LEAST_SCALE, 1e-6 * scale.max(initial=0.0)))[:count]
    if not len(kept):
        return None
    signs = np.sign(axes[kept, np.abs(axes[kept]).argmax(axis=1)])  # else the solver decides which way an axis points
    return Familiar(mean, axes[kept] * signs[:, None], scale[kept], method)


def familiar_limit(rows: Floats, folds: Sequence[Fold], *, share: float) -> float | None:
    """Return the distance within which this share of held-out cases lies, each by the rule of its fold's other cases."""
    distances: list[float] = []
    for fold in folds:
        rule = fit_familiar(rows[[*fold.train, *fold.validation]])
        if rule is not None:
            distances += rule.distances(rows[list(fold.test)]).tolist()
    limit = float(np.quantile(distances, share)) if distances else 0.0
    return round(limit, 3) if limit > 0.0005 else None

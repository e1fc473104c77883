"""What bags a model has seen: principal axes of their mean features, and how far held-out ones lie from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wsi.train.seal import Fold
from wsi.train.tasks import Floats

AXES = 12
"""At most so many axes: of a few dozen bags the later ones are chance."""
LEAST_SCALE = 1e-9


@dataclass(frozen=True, slots=True)
class Familiar:
    """mean `(D,)`, axes `(K, D)` and scale `(K,)` of the mean features of training bags."""

    mean: Floats
    axes: Floats
    scale: Floats

    def distances(self, rows: Floats) -> Floats:
        """Return how far mean features `(n, D)` lie, `(n,)`: root mean square of their places in standard deviations."""
        places = (rows - self.mean) @ self.axes.T / self.scale  # (n, K)
        found: Floats = np.sqrt((places**2).mean(axis=1))
        return found


def fit_familiar(rows: Floats) -> Familiar | None:
    """Return the rule of mean features `(n, D)`; None where they don't vary."""
    mean = rows.mean(axis=0)
    _, sizes, axes = np.linalg.svd(rows - mean, full_matrices=False)
    scale = sizes / np.sqrt(max(len(rows) - 1, 1))
    kept = np.flatnonzero(scale > max(LEAST_SCALE, 1e-6 * scale.max(initial=0.0)))[:AXES]
    if not len(kept):
        return None
    signs = np.sign(axes[kept, np.abs(axes[kept]).argmax(axis=1)])  # else the solver decides which way an axis points
    return Familiar(mean, axes[kept] * signs[:, None], scale[kept])


def familiar_limit(rows: Floats, folds: Sequence[Fold], *, share: float) -> float | None:
    """Return the distance within which this share of held-out cases lies, each by the rule of its fold's other cases."""
    distances: list[float] = []
    for fold in folds:
        rule = fit_familiar(rows[[*fold.train, *fold.validation]])
        if rule is not None:
            distances += rule.distances(rows[list(fold.test)]).tolist()
    limit = float(np.quantile(distances, share)) if distances else 0.0
    return round(limit, 3) if limit > 0.0005 else None

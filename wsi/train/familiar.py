"""What bags a model has seen: principal axes of their mean features, and how far held-out ones lie from them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wsi.mil.familiar import Familiar, Method
from wsi.train.seal import Fold
from wsi.train.tasks import Floats

AXES = 12
"""At most so many axes: of a few dozen bags the later ones are chance."""
MOST_AXES, ROWS_AN_AXIS = 32, 10
"""So many at most where what lies outside of them is measured, and so many rows for each."""
LEAST_SCALE = 1e-9
DIGITS = 3
"""Of a limit. One that is 0 in these says nothing: the axes hold all there is."""


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
    return limit_of(distances, share=share)


def limit_of(distances: Sequence[float] | Floats, *, share: float) -> float | None:
    """Return the distance within which this share of them lies; None where it says nothing."""
    limit = round(float(np.quantile(distances, share)), DIGITS) if len(distances) else 0.0
    return limit or None


def familiar_arrays(rule: Familiar | None) -> dict[str, Tensor]:
    """Return the rule as a weights file holds it."""
    if rule is None:
        return {}
    arrays = {"ood.mean": rule.mean, "ood.axes": rule.axes, "ood.scale": rule.scale}
    return {name: torch.tensor(values, dtype=torch.float32) for name, values in arrays.items()}


def familiar_section(rule: Familiar | None, limit: float | None, chosen: str) -> dict[str, Any]:
    """Return the section `out_of_distribution` of a card, if there is a rule; chosen says how the limit came about."""
    if rule is None or limit is None:
        return {}
    return {"out_of_distribution": {"method": rule.method, "limit": limit, "chosen_by": chosen}}

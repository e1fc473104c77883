"""How far a bag is from the bags that a model learned from."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Method = Literal["mahalanobis", "residual"]


@dataclass(frozen=True, slots=True)
class Familiar:
    """mean `(D,)`, principal axes `(K, D)` and scale `(K,)` of the mean features of the training bags."""

    mean: Floats
    axes: Floats
    scale: Floats
    method: Method = "mahalanobis"

    def distances(self, rows: Floats) -> Floats:
        """Return how far bags whose mean features are `(n, D)` are from the training bags, `(n,)`.

        mahalanobis: in the axes over sqrt(K), the root mean square of `axes @ (m - mean) / scale`, so it is about 1 for
        a training bag whatever K is. residual: the length of what of `m - mean` lies outside of the axes.

        Source: Wang et al. 2022, ViM, eq. 3, for the residual.
        """
        off = rows - self.mean
        places = off @ self.axes.T  # (n, K)
        found: Floats = (
            np.linalg.norm(off - places @ self.axes, axis=1)
            if self.method == "residual"
            else np.sqrt(((places / self.scale) ** 2).mean(axis=1))
        )
        return found

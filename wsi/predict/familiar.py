"""How far a bag is from the bags that a model learned from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wsi.card import ModelCard
from wsi.errors import WeightsError
from wsi.predict.weights import OOD, sound

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Familiar:
    """mean `(D,)`, principal axes `(K, D)` and scale `(K,)` of the mean features of the training bags."""

    mean: Floats
    axes: Floats
    scale: Floats
    method: Literal["mahalanobis", "residual"] = "mahalanobis"

    def distance(self, features: NDArray[np.float32]) -> float:
        """Return the distance of a bag's mean feature from the training bags'.

        mahalanobis: in the axes over sqrt(K), the root mean square of `axes @ (m - mean) / scale`, so it is about 1 for
        a training bag whatever K is. residual: the length of what of `m - mean` lies outside of the axes.

        Source: Wang et al. 2022, ViM, eq. 3, for the residual.
        """
        off = features.mean(axis=0, dtype=np.float64) - self.mean
        place = self.axes @ off  # (K,)
        if self.method == "residual":
            return float(np.linalg.norm(off - place @ self.axes))
        return math.sqrt(float(np.mean((place / self.scale) ** 2)))


def make_familiar(card: ModelCard, tensors: Mapping[str, Tensor], path: Path, *, dim: int) -> Familiar | None:
    """Return what the weights file says of the training bags; None where the card has no rule for it.

    Raises:
        WeightsError: the file and the card don't agree on whether there is a rule, or the arrays on D and K.
    """
    found = [name for name in OOD if name in tensors]
    expected = [] if card.out_of_distribution is None else list(OOD)
    if found != expected:
        raise WeightsError(
            f"{path}: holds {', '.join(found) or 'no ood arrays'}, the card's out_of_distribution "
            f"asks for {', '.join(expected) or 'none'}; get the folder again"
        )
    if card.out_of_distribution is None:
        return None
    mean, axes, scale = (sound(path, name, tensors[name]).double().numpy() for name in OOD)
    if mean.shape != (dim,) or scale.ndim != 1 or not len(scale) or axes.shape != (len(scale), dim):
        raise WeightsError(
            f"{path}: ood.mean {mean.shape}, ood.axes {axes.shape}, ood.scale {scale.shape}; "
            f"expected ({dim},), (K, {dim}), (K,)"
        )
    if not (scale > 0).all():
        raise WeightsError(f"{path}: ood.scale must be positive, its least is {scale.min()}")
    return Familiar(mean, axes, scale, card.out_of_distribution.method)

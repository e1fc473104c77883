"""The head: three hidden units over 1280 features, as the model folder's weights file holds them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from cohort import Bag
from logistic import fit_logistic
from numpy.typing import NDArray
from space import LEAST_STD, Array, Sample, Space, fit_space
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Recipe:
    """Every choice of the head's training that isn't a fitted number."""

    ridge: float = 100.0
    """Penalty on the slide direction, over standardized means of bags."""
    nuclei_dim: int = 64
    nuclei_ridge: float = 10.0
    acellular_cost: float = 3.0
    """What a tile's logit loses a unit of lacking nuclei."""
    acellular_silence: float = 9.0
    """What its attention loses, at most."""
    nuclei_margin: float = 1.5
    """How sure the logit must be that a tile has nuclei before it counts in full."""
    nuclei_mass: float = 100.0
    """Effective number of tiles with and without nuclei."""


@dataclass(frozen=True, slots=True)
class Direction:
    """A linear score of features: `(features - mean) / std @ weight + bias`."""

    weight: Array
    bias: float

    def score(self, standard: NDArray[np.floating]) -> Array:
        """Return `(...,)` for standardized features `(..., D)`."""
        found: Array = standard @ self.weight + self.bias
        return found


@dataclass(frozen=True, slots=True)
class Head:
    """Standardization, the malignancy direction and the nuclei direction."""

    mean: Array
    std: Array
    malignant: Direction
    nuclei: Direction
    recipe: Recipe

    def standardize(self, features: NDArray[np.floating]) -> Array:
        found: Array = (features - self.mean) / self.std
        return found

    def tile_logits(self, features: NDArray[np.floating]) -> Array:
        """Return `(..., N)` for features `(..., N, D)`."""
        standard = self.standardize(features)
        return self.malignant.score(standard) - self.recipe.acellular_cost * self._lack(standard)

    def bag_logit(self, features: NDArray[np.floating]) -> Array:
        """Return `(...,)`: the tiles' logits, weighed by attention."""
        standard = self.standardize(features)
        lack = self._lack(standard)
        logits = self.malignant.score(standard) - self.recipe.acellular_cost * lack
        found: Array = (attention(lack, self.recipe) * logits).sum(axis=-1)
        return found

    def _lack(self, standard: Array) -> Array:
        return np.maximum(-self.nuclei.score(standard), 0)

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights file's tensors.

        Hidden units: relu(m), relu(-m) and relu(-n) of the malignancy score m and the nuclei score n.
        """
        m, n = self.malignant, self.nuclei
        silence = self.recipe.acellular_silence
        arrays = {
            "norm.mean": self.mean,
            "norm.std": self.std,
            "embed.weight": np.stack([m.weight, -m.weight, -n.weight]),
            "embed.bias": np.array([m.bias, -m.bias, -n.bias]),
            "attention.tanh.weight": np.array([[0, 0, 1 / 3]]),
            "attention.tanh.bias": np.zeros(1),
            "attention.gate.weight": np.zeros((1, 3)),
            "attention.gate.bias": np.array([30.0]),
            "attention.score.weight": np.array([[-silence]]),
            "attention.score.bias": np.zeros(1),
            "classifier.weight": np.array([[1, -1, -self.recipe.acellular_cost]]),
            "classifier.bias": np.zeros(1),
        }
        return {name: torch.tensor(values, dtype=torch.float32) for name, values in arrays.items()}


def attention(lack: Array, recipe: Recipe) -> Array:
    """Return weights that sum to 1 over the last axis; tiles without nuclei have next to none."""
    scores = np.exp(-recipe.acellular_silence * np.tanh(lack / 3))
    found: Array = scores / scores.sum(axis=-1, keepdims=True)
    return found


def fit_head(slides: Sequence[Sample], recipe: Recipe) -> Head:
    """Return the head fitted to slides with a slide label."""
    space = fit_space(slides, dim=recipe.nuclei_dim)
    nuclei = _fit_nuclei(slides, space, recipe)
    return Head(space.mean, space.std, _fit_slides(slides, space, nuclei, recipe), nuclei, recipe)


def _standard(features: NDArray[np.float32], space: Space) -> Array:
    return (features - space.mean) / space.std


def _fit_nuclei(slides: Sequence[Sample], space: Space, recipe: Recipe) -> Direction:
    """Tell views of a tile from the same tile with its nuclei taken out; needs no label."""
    parts, labels, weights = [], [], []
    for sample in slides:
        for label, features in ((1.0, sample.views[1:3].reshape(-1, sample.views.shape[-1])), (0.0, sample.bloody)):
            parts.append(space.project(features))
            labels.append(np.full(len(features), label))
            weights.append(np.full(len(features), recipe.nuclei_mass / 2 / len(slides) / len(features)))
    rows = np.concatenate(parts)
    weight, bias = fit_logistic(
        rows, np.concatenate(labels), weights=np.concatenate(weights), ridge=recipe.nuclei_ridge
    )
    return Direction(space.axes @ weight, bias - recipe.nuclei_margin)


def _fit_slides(slides: Sequence[Sample], space: Space, nuclei: Direction, recipe: Recipe) -> Direction:
    """Tell malignant from other slides by the weighted mean of their tiles' features, every view a row."""
    parts, offsets = [], []
    for sample in slides:
        standard = _standard(sample.views, space)  # (V, N, D)
        lack = np.maximum(-nuclei.score(standard), 0)
        weights = attention(lack, recipe)  # (V, N)
        parts.append(np.einsum("vn,vnd->vd", weights, standard))
        offsets.append(-recipe.acellular_cost * (weights * lack).sum(axis=1))
    views = len(slides[0].views)
    labels = np.repeat([float(s.bag.malignant) for s in slides], views)
    masses = np.repeat(case_weights([s.bag for s in slides]), views) / views
    rows = np.concatenate(parts)  # (slides * V, D)
    mean, std = rows.mean(axis=0), rows.std(axis=0) + LEAST_STD
    # As many coordinates as rows hold the whole answer: the ridge keeps the weight in the rows' span.
    _, sizes, axes = np.linalg.svd((rows - mean) / std, full_matrices=False)
    axes = axes[sizes > 1e-6 * sizes[0]]  # (K, D)
    found, bias = fit_logistic(
        (rows - mean) / std @ axes.T, labels, weights=masses, ridge=recipe.ridge, offset=np.concatenate(offsets)
    )
    weight = found @ axes / std
    return Direction(weight, bias - float(mean @ weight))


def case_weights(bags: Sequence[Bag]) -> Array:
    """Return a weight a slide: the two classes count alike, as do the cases of a class; the sum is the number of cases."""
    groups = [bag.group for bag in bags]
    weights = np.array([1 / groups.count(group) for group in groups])
    malignant = np.array([bag.malignant for bag in bags])
    for label in (True, False):
        weights[malignant == label] *= len(set(groups)) / 2 / weights[malignant == label].sum()
    return weights

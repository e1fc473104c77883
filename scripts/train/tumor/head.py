"""The head: three hidden units over 1280 features, as the model folder's weights file holds them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from cohort import Bag
from logistic import fit_logistic
from numpy.typing import NDArray
from space import Array, Sample, Space, fit_space
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Recipe:
    """Every choice of the head's training that isn't a fitted number."""

    dims: tuple[int, ...] = (8, 12, 16, 20, 24)
    """The slide direction is the mean of one fit in each of these many dimensions."""
    tile_dim: int = 64
    ridge: float = 10.0
    tile_share: float = 0.3
    """How much the direction learned from labeled tiles adds to the one learned from slide labels."""
    acellular_cost: float = 3.0
    """What a tile's logit loses a unit of lacking nuclei."""
    acellular_silence: float = 9.0
    """What its attention loses, at most."""
    tile_mass: float = 30.0
    """Effective number of labeled tiles of each class and source."""


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

    def tensors(self, *, scale: float, shift: float) -> dict[str, Tensor]:
        """Return the weights file's tensors; each logit becomes `scale * logit + shift`.

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
            "classifier.weight": scale * np.array([[1, -1, -self.recipe.acellular_cost]]),
            "classifier.bias": np.array([shift]),
        }
        return {name: torch.tensor(values, dtype=torch.float32) for name, values in arrays.items()}


def attention(lack: Array, recipe: Recipe) -> Array:
    """Return weights that sum to 1 over the last axis; tiles without nuclei have next to none."""
    scores = np.exp(-recipe.acellular_silence * np.tanh(lack / 3))
    found: Array = scores / scores.sum(axis=-1, keepdims=True)
    return found


def fit_head(slides: Sequence[Sample], tiles: Sequence[Sample], recipe: Recipe) -> Head:
    """Return the head fitted to slides with a slide label and images with a label of their own."""
    space = fit_space(slides, dim=recipe.tile_dim)
    nuclei = _fit_nuclei(slides, tiles, space, recipe)
    labeled = _fit_tiles(slides, tiles, space, recipe)
    mean = np.mean([labeled.score(_standard(s.views, space)).mean() for s in slides])
    fixed = Direction(recipe.tile_share * labeled.weight, recipe.tile_share * (labeled.bias - float(mean)))
    weak = _fit_slides(slides, space, fixed, nuclei, recipe)
    both = Direction(fixed.weight + weak.weight, fixed.bias + weak.bias)
    return Head(space.mean, space.std, both, nuclei, recipe)


def _standard(features: NDArray[np.float32], space: Space) -> Array:
    return (features - space.mean) / space.std


def _fit_nuclei(slides: Sequence[Sample], tiles: Sequence[Sample], space: Space, recipe: Recipe) -> Direction:
    """Tell views of a tile from the same tile with its nuclei taken out; needs no label."""
    parts, labels, weights = [], [], []
    for samples, mass in ((slides, 100.0), (tiles, 100.0)):
        for sample in samples:
            for label, features in ((1.0, sample.views[1:3].reshape(-1, sample.views.shape[-1])), (0.0, sample.bloody)):
                parts.append(space.project(features))
                labels.append(np.full(len(features), label))
                weights.append(np.full(len(features), mass / 2 / len(samples) / len(features)))
    rows = np.concatenate(parts)
    weight, bias = fit_logistic(rows, np.concatenate(labels), weights=np.concatenate(weights), ridge=recipe.ridge)
    return Direction(space.axes @ weight, bias)


def _fit_tiles(slides: Sequence[Sample], tiles: Sequence[Sample], space: Space, recipe: Recipe) -> Direction:
    """Tell malignant from other tiles; each source counts both classes alike, so that none is known by its source."""
    share = {"lc25000_lung": 1.0, "ucsb_breast": 0.5, "atlas": 0.5}
    groups: dict[tuple[str, bool], list[Array]] = {}
    for sample, source in [(s, s.bag.organ) for s in tiles] + [(s, "atlas") for s in slides]:
        seen = sample.views[:4].reshape(-1, sample.views.shape[-1])
        groups.setdefault((source, sample.bag.malignant), []).append(space.project(seen))
    found = [
        (np.concatenate(rows), label, share[source])
        for (source, label), rows in sorted(groups.items(), key=lambda g: g[0])
    ]
    found.append((np.concatenate([space.project(s.bloody) for s in (*slides, *tiles) if _kept(s.bag)]), False, 1.0))
    weight, bias = fit_logistic(
        np.concatenate([rows for rows, _, _ in found]),
        np.concatenate([np.full(len(rows), float(label)) for rows, label, _ in found]),
        weights=np.concatenate([np.full(len(rows), recipe.tile_mass * one / len(rows)) for rows, _, one in found]),
        ridge=recipe.ridge,
    )
    return Direction(space.axes @ weight, bias)


def _kept(bag: Bag) -> bool:
    """UCSB's few images would add nothing to the bloody tiles."""
    return bag.organ != "ucsb_breast"


def _fit_slides(
    slides: Sequence[Sample], space: Space, fixed: Direction, nuclei: Direction, recipe: Recipe
) -> Direction:
    """Tell malignant from other slides by the mean of their tiles' features, on top of `fixed`, which stays."""
    parts, labels, offsets = [], [], []
    for sample in slides:
        standard = _standard(sample.views, space)  # (V, N, D)
        lack = np.maximum(-nuclei.score(standard), 0)
        weights = attention(lack, recipe)  # (V, N)
        parts.append(np.einsum("vn,vnd->vd", weights, standard) @ space.axes)
        offsets.append((weights * (fixed.score(standard) - recipe.acellular_cost * lack)).sum(axis=1))
        labels.append(np.full(len(standard), float(sample.bag.malignant)))
    rows, offset = np.concatenate(parts), np.concatenate(offsets)
    masses = np.repeat(case_weights([s.bag for s in slides]), len(slides[0].views)) / len(slides[0].views)
    weight, bias = np.zeros(space.axes.shape[1]), 0.0
    for dim in recipe.dims:
        one, start = fit_logistic(
            rows[:, :dim], np.concatenate(labels), weights=masses, ridge=recipe.ridge, offset=offset
        )
        weight[:dim] += one / len(recipe.dims)
        bias += start / len(recipe.dims)
    return Direction(space.axes @ weight, bias)


def case_weights(bags: Sequence[Bag]) -> Array:
    """Return a weight a slide: the two classes count alike, as do the cases of a class; the sum is the number of cases."""
    groups = [bag.group for bag in bags]
    weights = np.array([1 / groups.count(group) for group in groups])
    malignant = np.array([bag.malignant for bag in bags])
    for label in (True, False):
        weights[malignant == label] *= len(set(groups)) / 2 / weights[malignant == label].sum()
    return weights

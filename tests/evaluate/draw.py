"""Drawn studies: seeded labels, scores with ties, and patients with several cases."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Study:
    """labels `(n,)` of 0 and 1, scores `(n,)` 0-1 with ties, patients `(n,)`."""

    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    patients: NDArray[np.int64]


def study(seed: int, *, most: int = 80) -> Study:
    """Return a small study with both classes; every other one has many ties."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(8, most))
    labels = rng.integers(0, 2, n)
    labels[:4] = [0, 1, 0, 1]
    scores = 1 / (1 + np.exp(-rng.normal(labels * rng.uniform(0, 2), 1.0)))
    if seed % 2:
        scores = np.round(scores, 1)
    return Study(labels, scores, np.sort(rng.integers(0, max(4, n // 2), n)))


def clustered(
    rng: np.random.Generator, *, patients: int, most: int, share: float, distance: float, icc: float, mixed: bool
) -> Study:
    """Return cases of `patients`, 1 to `most` each, whose scores share a part `icc` of their variance.

    `distance`: standard deviations between the classes, so the AUC is Phi(distance / sqrt 2).
    mixed: a patient may have cases of both classes.
    """
    owner = np.repeat(np.arange(patients), rng.integers(1, most + 1, patients))
    labels = rng.random(len(owner)) < share if mixed else (rng.random(patients) < share)[owner]
    common = rng.normal(size=patients)[owner] * np.sqrt(icc)
    scores = common + rng.normal(size=len(owner)) * np.sqrt(1 - icc) + distance * labels
    return Study(labels.astype(np.int64), scores, owner)


@dataclass(frozen=True, slots=True)
class Classes:
    """truth and called `(n,)` places of K classes, probabilities `(n, K)`."""

    truth: NDArray[np.int64]
    called: NDArray[np.int64]
    probabilities: NDArray[np.float64]


def classes(seed: int) -> Classes:
    """Return a small study of 2 to 5 classes, each with a case."""
    rng = np.random.default_rng(seed)
    k = int(rng.integers(2, 6))
    n = int(rng.integers(3 * k, 60))
    truth = np.concatenate([np.arange(k), rng.integers(0, k, n - k)])
    logits = rng.normal(size=(n, k)) + 1.5 * np.eye(k)[truth]
    if seed % 2:
        logits = np.round(logits)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Classes(truth, probabilities.argmax(axis=1), probabilities)

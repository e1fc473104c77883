"""What the model must beat: the mean of a slide's features and a plain logistic regression, with no views at all."""

from collections.abc import Sequence

import numpy as np
from evaluate import Score
from head import case_weights
from logistic import Array, fit_logistic
from space import LEAST_STD, Features, Sample


def fit_mean_pooling(slides: Sequence[Sample]) -> Score:
    """Return mean pooling and a logistic regression with a ridge of 1 on standardized features."""
    rows = np.stack([s.views[0].mean(axis=0) for s in slides]).astype(np.float64)  # (slides, D)
    mean, std = rows.mean(axis=0), rows.std(axis=0) + LEAST_STD
    _, sizes, axes = np.linalg.svd((rows - mean) / std, full_matrices=False)
    axes = axes[sizes > 1e-6 * sizes[0]]
    labels = np.array([float(s.bag.malignant) for s in slides])
    inputs = (rows - mean) / std @ axes.T
    found, bias = fit_logistic(inputs, labels, weights=case_weights([s.bag for s in slides]), ridge=1.0)
    weight = found @ axes / std

    def score(features: Features) -> Array:
        logits: Array = (features.mean(axis=-2) - mean) @ weight + bias
        return logits

    return score

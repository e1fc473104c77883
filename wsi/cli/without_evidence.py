"""A model of the catalog on labeled features, with its evidence taken away: what `wsi-run shortcuts --model` does."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi.predict.model import load_model
from wsi.table import read_table
from wsi.train.bags import Bags
from wsi.train.cohort import Cohort
from wsi.train.evidence import Read, Trial, class_order, try_evidence
from wsi.train.gather import Ask, assemble
from wsi.train.labels import Target
from wsi.train.locate import locate


def try_model(name: str, labels: Path, features: Path, *, ask: Ask, seed: int) -> list[Trial]:
    """Return how the model scores each target of classes without its evidence, over cases with a label."""
    model = load_model(name)
    cohort = assemble(read_table(labels), locate(features), ask)
    bags = Bags(cohort)
    head = model.card.head
    found: list[Trial] = []
    for target in cohort.targets:
        order = class_order(target, [one.name for one in head.classes], positive=head.positive_index)

        def read(
            features: NDArray[np.float32], order: list[int] = order
        ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            reading = model.read(features)
            return reading.probabilities[order], reading.attention

        found += _try_target(bags, read, cohort, target, seed)
    return found


def _try_target(bags: Bags, read: Read, cohort: Cohort, target: Target, seed: int) -> list[Trial]:
    labels = cohort.labels(target.name)[:, 0]
    known = [int(at) for at in np.flatnonzero(~np.isnan(labels))]
    return try_evidence(
        lambda at: bags[known[at]],
        read,
        labels[known].astype(int).tolist(),
        patients=[cohort.cases[at].patient for at in known],
        classes=target.classes,
        seed=seed,
    )

"""DSMIL against sums written out in numpy, tile by tile."""

import math

import numpy as np
import pytest

from tests.mil.heads import Floats, bag, drawn, embed, linear
from wsi.mil import HeadSpec, Kind

WIDTH = 4


def by_hand(w: dict[str, Floats], h: Floats) -> tuple[Floats, Floats]:
    """Return logits `(C,)` and attention `(N,)` of embedded tiles `(N, H)`, each logit with its own critical tile."""
    tiles = linear(w, "instance", h)  # (N, C)
    queries, values = linear(w, "query", h), linear(w, "value", h)
    logits, weights = [], []
    for c in range(tiles.shape[1]):
        m = int(tiles[:, c].argmax())
        alike = [math.exp(float(q @ queries[m]) / math.sqrt(WIDTH)) for q in queries]
        u = np.array(alike) / sum(alike)
        bag_embedding = sum(u[i] * values[i] for i in range(len(h)))
        row = c % len(w["classifier.weight"])
        stream = w["classifier.weight"][row] @ bag_embedding + w["classifier.bias"][c]
        logits.append((tiles[m, c] + stream) / 2)
        weights.append(u)
    return np.array(logits), np.mean(weights, axis=0)


@pytest.mark.parametrize(
    ("kind", "classes"), [("binary", 2), ("multiclass", 3), ("multilabel", 4), ("ordinal", 4), ("regression", 0)]
)
@pytest.mark.parametrize("block", [1, 5, 1000])
def test_a_bag_is_read_as_the_formulas_say(kind: Kind, classes: int, block: int) -> None:
    head, w = drawn(HeadSpec("dsmil", kind, classes, hidden=5, width=WIDTH), scale=0.7)
    features = bag(19)
    logits, attention = by_hand(w, embed(w, features))
    reading = head.read(features, block=block)
    assert np.allclose(reading.logits.numpy(), logits, atol=1e-12)
    assert np.allclose(reading.attention.numpy(), attention, atol=1e-7)


def test_tiles_that_are_all_alike_are_weighed_alike() -> None:
    head, _ = drawn(HeadSpec("dsmil", hidden=5, width=WIDTH))
    features = bag(1).expand(8, -1)
    reading = head.read(features)
    assert reading.attention.tolist() == pytest.approx([1 / 8] * 8, abs=1e-7)
    assert reading.logits.item() == pytest.approx(reading.tile_logits[0].item(), abs=1e-12)

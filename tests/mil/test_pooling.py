"""Mean and max pooling against sums written out in numpy."""

import numpy as np
import pytest
import torch

from tests.mil.heads import bag, drawn, embed, linear
from wsi.mil import HeadSpec, Kind


@pytest.mark.parametrize(("kind", "classes"), [("binary", 2), ("multiclass", 3), ("multilabel", 4), ("regression", 0)])
def test_the_mean_of_the_embedded_tiles_is_classified(kind: Kind, classes: int) -> None:
    head, w = drawn(HeadSpec("mean", kind, classes, hidden=4))
    features = bag(11)
    reading = head.read(features, block=4)
    assert np.allclose(reading.logits.numpy(), linear(w, "classifier", embed(w, features).mean(axis=0)), atol=1e-12)
    assert np.allclose(reading.attention.numpy(), 1 / 11, atol=1e-7)


@pytest.mark.parametrize(("kind", "classes"), [("binary", 2), ("multiclass", 3), ("multilabel", 4), ("regression", 0)])
def test_each_logit_is_the_largest_of_the_tiles(kind: Kind, classes: int) -> None:
    head, w = drawn(HeadSpec("max", kind, classes, hidden=4))
    features = bag(11)
    tile_logits = linear(w, "classifier", embed(w, features))
    share = np.zeros(11)
    for place in tile_logits.argmax(axis=0):
        share[place] += 1 / tile_logits.shape[1]
    reading = head.read(features, block=4)
    assert np.allclose(reading.logits.numpy(), tile_logits.max(axis=0), atol=1e-12)
    assert np.allclose(reading.attention.numpy(), share, atol=1e-7)
    assert np.allclose(reading.tile_logits.numpy(), tile_logits, atol=1e-12)


def test_cuts_of_ordered_grades_all_look_at_one_tile() -> None:
    head, w = drawn(HeadSpec("max", "ordinal", 4, hidden=4))
    features = bag(9)
    score = embed(w, features) @ w["classifier.weight"][0]
    reading = head.read(features)
    assert reading.attention.tolist() == [float(i == score.argmax()) for i in range(9)]
    assert np.allclose(reading.logits.numpy(), score.max() + w["classifier.bias"], atol=1e-12)


def test_only_the_tile_that_says_most_gets_a_gradient_from_max_pooling() -> None:
    head, _ = drawn(HeadSpec("max", hidden=4))
    features = bag(9)[None].requires_grad_()
    logits, attention = head(features)
    logits.sum().backward()
    assert features.grad is not None
    touched = features.grad[0].abs().sum(dim=1) > 0
    assert torch.equal(touched, attention[0] == 1)

"""CLAM against sums written out in numpy: attention branches, pseudo-labels and the clustering loss."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.mil.heads import Floats, bag, drawn, embed, gated_scores, linear, softmax
from wsi.mil import Head, HeadSpec, Kind
from wsi.mil.clam import ClamMulti, ClamSingle
from wsi.mil.clustering import instance_loss, pseudo_labels
from wsi.mil.head import InstanceLoss

COUNT = 3


def spec(name: str, kind: Kind = "multiclass", classes: int = 3, loss: InstanceLoss = "smooth-svm") -> HeadSpec:
    return HeadSpec(name, kind, classes, hidden=5, width=4, instances=COUNT, instance_weight=0.25, instance_loss=loss)


def auxiliary(head: Head, features: Tensor, labels: list[list[float]], mask: Tensor | None = None) -> float:
    assert isinstance(head, ClamSingle | ClamMulti)
    return head.forward_to_train(features, mask, torch.tensor(labels, dtype=torch.float64))[1].item()


def test_one_branch_is_gated_attention() -> None:
    head, w = drawn(spec("clam-sb"))
    features = bag(17)
    h = embed(w, features)
    attention = softmax(gated_scores(w, h)[:, 0])
    reading = head.read(features, block=5)
    assert np.allclose(reading.attention.numpy(), attention, atol=1e-7)
    assert np.allclose(reading.logits.numpy(), linear(w, "classifier", attention @ h), atol=1e-12)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_each_class_has_an_attention_and_a_classifier_of_its_own(kind: Kind) -> None:
    head, w = drawn(spec("clam-mb", kind))
    features = bag(17)
    h = embed(w, features)
    attention = softmax(gated_scores(w, h).T)  # (K, N)
    logits = [attention[m] @ h @ w["classifier.weight"][m] + w["classifier.bias"][m] for m in range(3)]
    reading = head.read(features, block=5)
    assert np.allclose(reading.logits.numpy(), logits, atol=1e-12)
    assert np.allclose(reading.attention.numpy(), attention.mean(axis=0), atol=1e-7)


def test_a_binary_logit_of_two_branches_is_the_difference_of_their_scores() -> None:
    head, w = drawn(spec("clam-mb", "binary", 2))
    features = bag(17)
    h = embed(w, features)
    attention = softmax(gated_scores(w, h).T)  # (2, N)
    scores = [attention[m] @ h @ w["classifier.weight"][m] + w["classifier.bias"][m] for m in (0, 1)]
    assert head.read(features).logits.item() == pytest.approx(scores[1] - scores[0], abs=1e-12)


def top_and_bottom(scores: Floats) -> tuple[list[int], list[int]]:
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    return order[:COUNT], order[-COUNT:]


def smooth_svm(s: Floats, y: int) -> float:
    """Return log sum_j exp([j != y] + s_j - s_y)."""
    return math.log(sum(math.exp((j != y) + s[j] - s[y]) for j in (0, 1)))


def clustering_by_hand(w: dict[str, Floats], features: Tensor, claims: list[bool]) -> float:
    """Return the clustering loss of one bag, unweighted: a mean over the classes of a mean over the tiles."""
    h = embed(w, features)
    attention = gated_scores(w, h)
    losses = []
    for m, claim in enumerate(claims):
        most, least = top_and_bottom(attention[:, m if attention.shape[1] > 1 else 0])
        told = [(i, 1) for i in most] + [(i, 0) for i in least] if claim else [(i, 0) for i in most]
        scores = linear(w, "clusters.classifier", h)[:, 2 * m : 2 * m + 2]
        losses.append(np.mean([smooth_svm(scores[i], y) for i, y in told]))
    return float(np.mean(losses))


@pytest.mark.parametrize("name", ["clam-sb", "clam-mb"])
@pytest.mark.parametrize("label", [0, 1, 2])
def test_the_clustering_loss_of_a_bag_is_that_of_the_formulas(name: str, label: int) -> None:
    head, w = drawn(spec(name))
    features = bag(17)
    expected = 0.25 * clustering_by_hand(w, features, [m == label for m in range(3)])
    assert auxiliary(head, features[None], [[label]]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["clam-sb", "clam-mb"])
def test_every_label_of_a_multilabel_bag_counts_but_the_unknown(name: str) -> None:
    head, w = drawn(spec(name, "multilabel"))
    features = bag(17)
    expected = 0.25 * clustering_by_hand(w, features, [True, False, True])
    assert auxiliary(head, features[None], [[1, 0, 1]]) == pytest.approx(expected, rel=1e-12)
    two = 0.25 * clustering_by_hand(w, features, [True, False])
    assert auxiliary(head, features[None], [[1, 0, math.nan]]) == pytest.approx(two, rel=1e-12)


@pytest.mark.parametrize("name", ["clam-sb", "clam-mb"])
def test_the_loss_of_a_batch_is_the_mean_over_its_bags_and_padding_is_never_chosen(name: str) -> None:
    head, w = drawn(spec(name))
    features, mask = torch.full((2, 20, 6), math.nan, dtype=torch.float64), torch.zeros(2, 20, dtype=torch.bool)
    features[0, :17], mask[0, :17] = bag(17), True
    features[1, 5:14], mask[1, 5:14] = bag(9, seed=1), True
    each = [clustering_by_hand(w, b, [m == y for m in range(3)]) for b, y in ((bag(17), 2), (bag(9, seed=1), 0))]
    assert auxiliary(head, features, [[2], [0]], mask) == pytest.approx(0.25 * np.mean(each), rel=1e-12)


@pytest.mark.parametrize("name", ["clam-sb", "clam-mb"])
def test_bags_of_one_tile_or_without_a_label_add_nothing(name: str) -> None:
    head, _ = drawn(spec(name))
    assert auxiliary(head, bag(1)[None], [[1]]) == 0
    assert auxiliary(head, bag(9)[None], [[math.nan]]) == 0


def told(scores: Tensor, claims: list[float], *, count: int) -> list[list[tuple[int, int]]]:
    """Return what each class of one bag of scores `(N, M)` takes which tiles for."""
    real = torch.ones(1, len(scores), dtype=torch.bool)
    found = pseudo_labels(scores[None], torch.tensor([claims]), real=real, count=count)
    pairs = torch.stack([found.tiles[0], found.targets[0]], dim=-1)  # (t, K, 2)
    return [[(i, y) for i, y in pairs[found.counts[0, :, k], k].tolist()] for k in range(len(claims))]


def test_a_small_bag_gives_half_its_tiles_each_way_and_none_twice() -> None:
    scores = torch.tensor([[0.1], [0.9], [0.5], [0.7], [0.3]])
    assert told(scores, [1.0], count=8) == [[(1, 1), (3, 1), (4, 0), (0, 0)]]


def test_the_most_attended_tiles_speak_against_a_class_that_the_bag_is_not_of() -> None:
    scores = torch.tensor([[0.1, 9.0], [0.9, 1.0], [0.5, 5.0], [0.7, 7.0]])
    first, second = told(scores, [1.0, 0.0], count=2)
    assert first == [(1, 1), (3, 1), (2, 0), (0, 0)]
    assert second == [(0, 0), (3, 0)]


def test_of_bags_of_several_sizes_each_gives_by_its_own_and_one_tile_alone_gives_nothing() -> None:
    scores, real = torch.arange(18.0).reshape(3, 6, 1), torch.arange(6) < torch.tensor([[6], [3], [1]])
    found = pseudo_labels(scores, torch.ones(3, 1), real=real, count=2)
    given = [found.tiles[i, found.counts[i, :, 0], 0].tolist() for i in range(3)]
    assert given == [[5, 4, 1, 0], [2, 0], []]


def test_scores_that_part_by_nothing_cost_log_of_one_plus_e() -> None:
    found = instance_loss(torch.zeros(4, 2), torch.tensor([0, 1, 1, 0]), spec("clam-sb"))
    assert found.tolist() == pytest.approx([math.log(1 + math.e)] * 4, abs=1e-6)
    plain = instance_loss(torch.zeros(4, 2), torch.tensor([0, 1, 1, 0]), spec("clam-sb", loss="cross-entropy"))
    assert plain.tolist() == pytest.approx([math.log(2)] * 4, abs=1e-6)


def test_no_gradient_of_the_clustering_reaches_the_attention() -> None:
    head, _ = drawn(spec("clam-mb"))
    assert isinstance(head, ClamMulti)
    _, extra = head.forward_to_train(bag(17)[None], None, torch.tensor([[1.0]]))
    extra.backward()
    assert all(p.grad is None for p in head.attention.parameters())
    assert head.embed.weight.grad is not None
    assert head.clusters.classifier.weight.grad is not None


def test_training_by_the_clustering_loss_parts_the_most_from_the_least_attended_tiles() -> None:
    torch.manual_seed(0)
    head, _ = drawn(spec("clam-sb", "binary", 2))
    assert isinstance(head, ClamSingle)
    head.float()
    features, label = torch.randn(1, 40, 6), torch.ones(1, 1)
    optimizer = torch.optim.Adam([*head.clusters.parameters(), *head.embed.parameters()], lr=0.01)
    before = head.forward_to_train(features, None, label)[1].item()
    for _ in range(60):
        optimizer.zero_grad()
        torch.autograd.backward(head.forward_to_train(features, None, label)[1])
        optimizer.step()
    assert head.forward_to_train(features, None, label)[1].item() < before / 3

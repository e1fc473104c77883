"""A network for pictures: several classifiers, the mean of several networks, and the same as heads of bags."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.encode import tiny
from wsi.encode.build import Pooled
from wsi.mil import make_classifier
from wsi.train.picture_network import as_head, keep_cuts_in_order, mean_weights, start_network
from wsi.train.tasks import Task

TASKS = (Task("binary", ("a", "b")), Task("ordinal", ("0", "1", "2", "3")), Task("multiclass", ("x", "y", "z")))


def pooled() -> Pooled:
    return Pooled(tiny.with_random_weights(tiny.tiny_vit()), "cls", prefix_tokens=1)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: str(task.kind))
def test_a_classifier_as_a_head_gives_its_logits_and_of_several_windows_their_mean(task: Task) -> None:
    torch.manual_seed(1)
    classifier = make_classifier(task.kind, 16, len(task.classes))
    head = as_head(classifier, task, 16)
    features = torch.randn(3, 16)
    with torch.no_grad():
        expected = classifier(features)
    one = head.read(features[:1])
    assert torch.allclose(one.logits, expected[0], atol=1e-6)
    assert torch.allclose(head.read(features).logits, expected.mean(dim=0), atol=1e-6)
    assert torch.allclose(head.read(features).tile_logits, expected, atol=1e-6)


def test_the_first_weights_depend_on_the_seed_alone() -> None:
    networks = [start_network(pooled(), tiny.DIM, TASKS, share=0.0, seed=seed) for seed in (1, 1, 2)]
    first, same, other = (network.classifiers[0].get_parameter("weight") for network in networks)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_mean_weights_are_means_and_counts_stay() -> None:
    made = [{"w": torch.tensor([float(k), 2.0]), "n": torch.tensor(k)} for k in (1, 2, 6)]
    found = mean_weights(made)
    assert found["w"].tolist() == [3.0, 2.0]
    assert found["n"] == 1


def test_batch_normalization_keeps_its_statistics_in_training() -> None:
    network = start_network(pooled(), tiny.DIM, TASKS, share=0.0, seed=0)
    network.encoder.network.add_module("extra", nn.BatchNorm2d(3))
    network.train()
    assert network.training
    assert not network.encoder.network.get_submodule("extra").training


@pytest.mark.parametrize(("hidden", "name"), [(0, "bias"), (4, "classifier.bias")])
def test_cuts_that_a_step_carried_past_one_another_fall_again(hidden: int, name: str) -> None:
    network = start_network(pooled(), tiny.DIM, TASKS, share=0.0, seed=0, hidden=hidden)
    cuts = network.classifiers[1].get_parameter(name)
    with torch.no_grad():
        cuts.copy_(torch.tensor([1.0, 2.0, 0.5]))
    keep_cuts_in_order(network)
    assert np.array_equal(cuts.detach().numpy(), np.array([1.0, 1.0, 0.5], np.float32))


def test_a_part_of_the_embedding_is_hidden_in_training_only() -> None:
    network = start_network(pooled(), tiny.DIM, TASKS[:1], share=0.5, seed=0)
    rows = torch.randn(4, tiny.DIM)
    assert torch.equal(network.eval().read(rows)[0], network.read(rows)[0])
    network.train()
    assert not torch.equal(network.read(rows)[0], network.read(rows)[0])

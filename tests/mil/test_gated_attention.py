"""Gated attention against sums written out in numpy, and what must hold of every such network."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsi.errors import EmptyBagError
from wsi.mil import Head, HeadSpec, make_head
from wsi.mil.classes import Kind

Floats = NDArray[np.float64]
NAMES = {
    "norm.mean": (6,),
    "norm.std": (6,),
    "embed.weight": (4, 6),
    "embed.bias": (4,),
    "attention.tanh.weight": (3, 4),
    "attention.tanh.bias": (3,),
    "attention.gate.weight": (3, 4),
    "attention.gate.bias": (3,),
    "attention.score.weight": (1, 3),
    "attention.score.bias": (1,),
    "classifier.weight": (1, 4),
    "classifier.bias": (1,),
}
ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "identity": lambda x: x,
}


def network(
    activation: Literal["relu", "tanh", "identity"] = "relu",
    aggregate: Literal["gated-attention", "mean"] = "gated-attention",
    kind: Kind = "binary",
    classes: int = 2,
) -> Head:
    """Return a network whose every number is drawn, in float64."""
    made = make_head(HeadSpec(aggregate, kind, classes, hidden=4, width=3, activation=activation), 6)
    generator = torch.Generator().manual_seed(7)
    made = made.double()
    with torch.no_grad():
        for name, tensor in made.state_dict().items():
            drawn = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            tensor.copy_(drawn.abs() + 0.5 if name == "norm.std" else drawn)
    return made.eval()


def bag(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_hand(made: Head, features: Tensor, activation: str) -> tuple[Floats, Floats, Floats]:
    """Return logits, attention and tile logits by eq. 8-9 of Ilse et al. 2018, in numpy alone."""
    w = {name: tensor.numpy() for name, tensor in made.state_dict().items()}
    standard = (features.numpy() - w["norm.mean"]) / w["norm.std"]
    h = ACTIVATIONS[activation](standard @ w["embed.weight"].T + w["embed.bias"])
    gate = 1 / (1 + np.exp(-(h @ w["attention.gate.weight"].T + w["attention.gate.bias"])))
    v = np.tanh(h @ w["attention.tanh.weight"].T + w["attention.tanh.bias"])
    scores = (v * gate) @ w["attention.score.weight"][0] + w["attention.score.bias"]
    attention = np.exp(scores) / np.exp(scores).sum()
    z = (attention[:, None] * h).sum(axis=0)
    return (
        z @ w["classifier.weight"].T + w["classifier.bias"],
        attention,
        h @ w["classifier.weight"].T + w["classifier.bias"],
    )


def test_the_names_and_shapes_of_the_weights_are_the_model_folders() -> None:
    assert {name: tuple(tensor.shape) for name, tensor in network().state_dict().items()} == NAMES


@pytest.mark.parametrize("activation", ["relu", "tanh", "identity"])
@pytest.mark.parametrize(("kind", "classes"), [("binary", 2), ("multiclass", 3), ("ordinal", 4)])
@pytest.mark.parametrize("block", [1, 5, 1000])
def test_a_bag_is_read_as_the_formulas_say(
    activation: Literal["relu", "tanh", "identity"], kind: Kind, classes: int, block: int
) -> None:
    made, features = network(activation, kind=kind, classes=classes), bag(23)
    logits, attention, tile_logits = by_hand(made, features, activation)
    reading = made.read(features, block=block)
    assert np.allclose(reading.logits.numpy(), logits, atol=1e-12)
    assert np.allclose(reading.attention.numpy(), attention, atol=1e-7)
    assert np.allclose(reading.tile_logits.numpy(), tile_logits, atol=1e-12)


def test_the_mean_weighs_all_tiles_alike() -> None:
    made, features = network("tanh", aggregate="mean"), bag(10)
    assert not [name for name in made.state_dict() if name.startswith("attention")]
    reading = made.read(features, block=3)
    assert reading.attention.tolist() == pytest.approx([0.1] * 10, abs=1e-7)
    assert reading.logits.item() == pytest.approx(reading.tile_logits.mean().item(), abs=1e-12)


def test_one_tile_gets_all_attention_and_decides_alone() -> None:
    reading = network().read(bag(1))
    assert reading.attention.tolist() == [1.0]
    assert reading.logits.item() == pytest.approx(reading.tile_logits.item(), abs=1e-12)


def test_another_order_of_the_tiles_changes_only_the_order_of_the_attention() -> None:
    made, features, order = network(), bag(50), torch.randperm(50, generator=torch.Generator().manual_seed(1))
    one, other = made.read(features, block=7), made.read(features[order], block=7)
    assert torch.allclose(one.logits, other.logits, atol=1e-12)
    assert torch.allclose(one.attention[order], other.attention, atol=1e-7)
    assert torch.allclose(one.tile_logits[order], other.tile_logits, atol=1e-12)


def padded(sizes: list[int], most: int, filler: float) -> tuple[Tensor, Tensor]:
    features, mask = torch.full((len(sizes), most, 6), filler, dtype=torch.float64), torch.zeros(len(sizes), most) > 0
    for i, n in enumerate(sizes):
        features[i, :n], mask[i, :n] = bag(n, seed=i), True
    return features, mask


@pytest.mark.parametrize("filler", [0.0, 1e9, float("nan"), float("inf")])
def test_padding_changes_nothing_whatever_lies_on_it(filler: float) -> None:
    made, sizes = network(), [3, 9, 1]
    features, mask = padded(sizes, 12, filler)
    logits, attention = made(features, mask)
    assert (attention[~mask] == 0).all()
    assert torch.allclose(attention.sum(dim=1), torch.ones(3, dtype=torch.float64), atol=1e-12)
    for i, n in enumerate(sizes):
        alone = made.read(bag(n, seed=i))
        assert torch.allclose(logits[i], alone.logits, atol=1e-12)
        assert torch.allclose(attention[i, :n].float(), alone.attention, atol=1e-7)


def test_gradients_of_padded_bags_are_finite_and_none_reaches_the_padding() -> None:
    made = network("tanh").train()
    features, mask = padded([3, 9, 1], 12, float("nan"))
    features.requires_grad_()
    made(features, mask)[0].sum().backward()
    assert all(bool(p.grad is not None and p.grad.isfinite().all()) for p in made.parameters())
    assert features.grad is not None
    assert (features.grad[~mask] == 0).all()
    assert (features.grad[mask].abs().sum(dim=-1) > 0).all()


def test_gradients_are_those_of_finite_differences() -> None:
    made, mask = network("tanh"), torch.tensor([[True, True, False], [True, False, False]])
    features = bag(6).reshape(2, 3, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: made(x, mask), (features,))


def test_an_empty_bag_is_refused_by_both_ways_of_reading() -> None:
    with pytest.raises(EmptyBagError):
        network().read(bag(0))
    with pytest.raises(EmptyBagError):
        network()(bag(3)[None], torch.zeros(1, 3, dtype=torch.bool))


@pytest.mark.parametrize("kind", ["binary", "ordinal"])
def test_training_on_bag_labels_finds_the_telling_tile(kind: Kind) -> None:
    generator = torch.Generator().manual_seed(3)
    torch.manual_seed(3)
    features, labels = torch.randn(60, 20, 6, generator=generator), torch.arange(60) % 2
    features[labels == 1, 4, 0] += 6  # the fifth tile of each positive bag
    made = make_head(HeadSpec(kind=kind, hidden=8, width=4), 6)
    optimizer = torch.optim.Adam(made.parameters(), lr=0.04)
    for _ in range(80):
        optimizer.zero_grad()
        logits, _ = made(features)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], labels.float())
        torch.autograd.backward(loss)
        optimizer.step()
    with torch.no_grad():
        logits, attention = made(features)
    assert ((logits[:, 0] > 0) == labels.bool()).all()
    assert (attention[labels == 1].argmax(dim=1) == 4).float().mean() > 0.9

"""Heads beside torchmil's of the same weights: a second implementation, by others, where it is installed."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests.mil.heads import bag, drawn
from wsi.mil import Head, HeadSpec
from wsi.mil.clam import ClamSingle

models = pytest.importorskip("torchmil.models")
HIDDEN, WIDTH = 8, 4
GATED = {
    "pool.fc1.module": "attention.tanh",
    "pool.fc_gated.module": "attention.gate",
    "pool.fc2": "attention.score",
    "classifier.module": "classifier",
}


def given(other: nn.Module, head: Head, names: dict[str, str], **more: Tensor) -> Any:
    """Return the other network with the head's weights, in float64; names are those of its layers and the head's."""
    ours = head.state_dict() | more
    needed = {name: name.rpartition(".") for name in other.state_dict()}
    weights = {
        name: ours[f"{names[layer]}.{part}"].reshape(other.state_dict()[name].shape)
        for name, (layer, _, part) in needed.items()
    }
    other.load_state_dict(weights)
    return other.double().eval()


def pass_on(head: Head, *layers: str) -> None:
    """Make linear layers give what they get: torchmil has none in these places."""
    for name in layers:
        layer = head.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)


class CrossEntropy(nn.Module):
    """The cross entropy of scores `(t, 2)` for targets `(t, 1)`."""

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(scores, targets[:, 0].long())


def test_gated_attention_reads_as_theirs() -> None:
    head, _ = drawn(HeadSpec(hidden=HIDDEN, width=WIDTH))
    other = given(models.ABMIL((HIDDEN,), att_dim=WIDTH, gated=True), head, GATED)
    features = bag(17)
    reading = head.read(features)
    with torch.no_grad():
        logit, scores = other(head.embedded(features)[None], return_att=True)
    assert torch.allclose(reading.logits, logit, atol=1e-12)
    assert torch.allclose(reading.attention.double(), torch.softmax(scores[0], dim=0), atol=1e-7)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_clam_clusters_tiles_as_theirs(label: float) -> None:
    spec = HeadSpec(
        "clam-sb", hidden=HIDDEN, width=WIDTH, instances=3, instance_weight=1.0, instance_loss="cross-entropy"
    )
    head, _ = drawn(spec)
    assert isinstance(head, ClamSingle)
    split = {
        f"class {k}.{part}": getattr(head.clusters.classifier, part).detach()[2 * k : 2 * k + 2]
        for k in (0, 1)
        for part in ("weight", "bias")
    }
    names = GATED | {f"inst_classifiers.{k}.module": f"class {k}" for k in (0, 1)}
    other = given(models.CLAM_SB((HIDDEN,), att_dim=WIDTH, k_sample=3, gated=True), head, names, **split)
    other.inst_loss_fn = CrossEntropy()  # its smooth SVM (1.0.2) takes targets of another shape than CLAM gives it
    features, labels = bag(17)[None], torch.tensor([[label]], dtype=torch.float64)
    with torch.no_grad():
        embedded = head.embedded(features)
        logit, scores = other(embedded, return_att=True)
        theirs = other.compute_inst_loss(scores, embedded, labels)
        _, ours = head.forward_to_train(features, None, labels)
    assert torch.allclose(head.read(features[0]).logits, logit, atol=1e-12)
    assert float(ours) == pytest.approx(float(theirs) / 2, rel=1e-6)  # theirs is the sum over both classes, in float32


def test_dsmil_reads_as_theirs() -> None:
    head, _ = drawn(HeadSpec("dsmil", hidden=HIDDEN, width=WIDTH), scale=0.7)
    pass_on(head, "value")
    names = {"q_nn": "query", "inst_classifier": "instance", "bag_classifier": "classifier"}
    other = given(models.DSMIL((HIDDEN,), att_dim=WIDTH), head, names)
    features = bag(17)
    reading = head.read(features)
    with torch.no_grad():
        embedded = head.embedded(features)[None]
        logit, (_, attention) = other.predict(embedded), other(embedded, return_att=True)
    assert torch.allclose(reading.logits, logit, atol=1e-12)
    assert torch.allclose(reading.attention.double(), attention[0, :, 0], atol=1e-7)


@pytest.mark.parametrize("tiles", [7, 9])
def test_transmil_reads_as_theirs(tiles: int) -> None:
    head, _ = drawn(HeadSpec("transmil", hidden=HIDDEN, heads=1, landmarks=5), scale=0.4)
    pass_on(head, "first.outward", "second.outward")
    names = {f"pos_layer.proj{n}": f"position.convolutions.{k}" for k, n in enumerate(("", "1", "2"))}
    for k, layer in enumerate(("first", "second")):
        names |= {f"layers.{k}.att_module.qkv_nn": f"{layer}.inward"}
        names |= {
            f"layers.{k}.{norm}": f"{layer}.norm" for norm in ("norm1", "norm2")
        }  # norm2 is not used without its MLP
    names |= {"": "class", "norm": "last", "classifier": "classifier"}
    made = models.TransMIL((HIDDEN,), att_dim=HIDDEN, n_heads=1, n_landmarks=5)
    other = given(made, head, names, **{"class.cls_token": head.state_dict()["token"]})
    features = bag(tiles)  # on a square of 9, with the class token 10: two to each landmark, so theirs is not padded
    with torch.no_grad():
        logit = other(head.embedded(features)[None])
    assert torch.allclose(head.read(features).logits, logit, atol=1e-9)

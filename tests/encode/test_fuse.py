"""Norms and activations done by the layers before them: the same features, and hands off where they wouldn't be."""

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from tests.encode import tiny
from wsi.encode import torch_run
from wsi.encode.build import Pooled
from wsi.encode.fuse import SAME, find_layers, fuse, halve, shared
from wsi.encode.precision import least_cosine
from wsi.encode.torch_run import run_torch

CPU = torch.device("cpu")
SIDE = 64


def seeded(make: type[nn.Module] | str) -> nn.Module:
    """Return a network in evaluation mode whose norms have statistics of some images."""
    torch.manual_seed(0)
    network: nn.Module = timm.create_model(make, num_classes=0) if isinstance(make, str) else make()
    network.train()
    with torch.no_grad():
        network(images(seed=1))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 2)
                module.bias.uniform_(-1, 1)
    return network.eval()


def images(*, seed: int = 0) -> Tensor:
    made: Tensor = torch.randn(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    return made.to(memory_format=torch.channels_last)


def features(network: nn.Module) -> np.ndarray:
    with torch.inference_mode():
        found: np.ndarray = network(images()).flatten(1).float().numpy()
    return found


@pytest.mark.parametrize(
    ("name", "norms", "activations"),
    [
        ("resnet18", 20, 9),
        ("mobilenetv2_035", 52, 35),
        ("mobilenetv3_small_050", 34, 33),
        ("efficientnet_b0", 49, 49),
        ("tf_efficientnet_b0", 49, 49),
        ("densenet121", 59, 59),
        ("convnext_atto", 0, 12),
        ("regnety_002", 44, 40),
        ("repvgg_a0", 44, 0),
    ],
)
def test_fused_networks_have_the_same_features(name: str, norms: int, activations: int) -> None:
    network = seeded(name)
    layers = find_layers(network, images())
    assert (sum(bool(one.norm) for one in layers), sum(bool(one.activation) for one in layers)) == (norms, activations)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    expected = features(network)
    found = features(fuse(network, layers, whole=len(layers)))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert least_cosine(found, expected) > SAME
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


class Skips(nn.Module):
    """What a convolution made goes into a norm and is added as well."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        made = self.conv(images)
        found: Tensor = (self.act(self.norm(made)) + made).mean((2, 3))
        return found


class AddsInPlace(nn.Module):
    """Something is added to what a norm made before its activation gets it, in the same memory."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        made = self.norm(self.conv(images))
        made += images.mean(1, keepdim=True)
        found: Tensor = self.act(made).mean((2, 3))
        return found


class SharesAnActivation(nn.Module):
    """One activation follows a norm once, and a sum the other time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        made = self.act(self.norm(self.conv(images)))
        found: Tensor = self.act(made - 1).mean((2, 3))
        return found


class SharesANorm(nn.Module):
    """A norm follows two convolutions, and a convolution runs twice with a norm after one of the runs."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other, self.norm = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8)
        self.twice, self.after = nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)

    def forward(self, images: Tensor) -> Tensor:
        made = self.norm(self.one(images)) + self.norm(self.other(images))
        found: Tensor = (relu(self.after(self.twice(made))) + self.twice(made)).mean((2, 3))
        return found


@pytest.mark.parametrize(("make", "norms"), [(AddsInPlace, 1), (SharesAnActivation, 1), (SharesANorm, 0), (Skips, 0)])
def test_only_what_always_follows_is_fused(make: type[nn.Module], norms: int) -> None:
    network = seeded(make)
    layers = find_layers(network, images())
    assert sum(bool(one.norm) for one in layers) == norms
    assert not any(one.activation for one in layers)
    np.testing.assert_allclose(
        features(fuse(network, layers, whole=len(layers))), features(network), rtol=1e-4, atol=1e-5
    )


class GELU(nn.Module):
    """Another function than its name says."""

    def forward(self, images: Tensor) -> Tensor:
        return images.cos()


class Misnamed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 8, 3), GELU()

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.act(self.conv(images)).mean((2, 3))
        return found


class Asks(nn.Module):
    """Asks a layer for its sizes, and for its weights' type and device."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        weight, side = self.conv.weight, self.conv.kernel_size[0] * self.conv.stride[0]
        found: Tensor = self.conv(images.to(weight.dtype).to(weight.device)).mean((2, 3)) * side
        return found


def test_layers_can_be_asked_for_their_sizes() -> None:
    network = seeded(Asks)
    layers = find_layers(network, images())
    np.testing.assert_allclose(features(fuse(network, layers, whole=1)), features(network), rtol=1e-4, atol=1e-5)


def test_network_whose_features_would_change_runs_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    network = seeded(Misnamed)
    expected = features(network)
    caplog.set_level("INFO")
    run = run_torch(network, card_of(dim=8), device=CPU, precision="fp32")
    assert "runs as it is: fused, its features would have a cosine of" in caplog.text
    np.testing.assert_array_equal(
        run(tiles()), torch_run.TorchRun(network, card_of().transform, device=CPU, precision="fp32")(tiles())
    )
    np.testing.assert_array_equal(features(network), expected)


def test_torch_without_such_kernels_runs_layer_by_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> nn.Module:
        raise NotImplementedError("no oneDNN here")

    monkeypatch.setattr(torch_run, "fuse", none)
    network = seeded("resnet18")
    plain = run_torch(network, card_of(), device=CPU, precision="fp32", fused=False)(tiles())
    np.testing.assert_array_equal(run_torch(network, card_of(), device=CPU, precision="fp32")(tiles()), plain)


def test_fusing_can_be_switched_off() -> None:
    network = seeded("resnet18")
    plain, fused = (
        run_torch(network, card_of(), device=CPU, precision="fp32", fused=is_fused)(tiles())
        for is_fused in (False, True)
    )
    assert not np.array_equal(plain, fused)
    assert least_cosine(plain, fused) > SAME


def test_views_from_all_sides_are_fused_too() -> None:
    network = Pooled(seeded("mobilenetv2_035"), "layers", prefix_tokens=0, turns=True).eval()
    layers = find_layers(network, images())
    assert sum(bool(one.norm) for one in layers) == 52
    expected = features(network)
    assert least_cosine(features(fuse(network, layers, whole=len(layers))), expected) > SAME


def test_first_layers_stay_whole() -> None:
    network = seeded("mobilenetv3_small_050")
    layers = find_layers(network, images())
    expected = features(network)
    lost = [1 - least_cosine(features(fuse(network, layers, whole=whole)), expected) for whole in (1, 12, len(layers))]
    assert lost[0] > lost[1] > 1e-6 > lost[2]


def test_norms_keep_all_their_digits_and_the_rest_half() -> None:
    network = seeded("resnet18")
    half = shared(network)
    halve(half)
    kinds = {name: value.dtype for name, value in half.state_dict().items()}
    assert kinds["conv1.weight"] == torch.bfloat16
    assert kinds["bn1.weight"] == kinds["bn1.running_var"] == torch.float32
    assert half.get_parameter("bn1.weight") is network.get_parameter("bn1.weight")
    assert network.get_parameter("conv1.weight").dtype == torch.float32


def card_of(dim: int = 512):  # type: ignore[no-untyped-def]
    return tiny.card(pooling="model", dim=dim, input={"tile_px": SIDE, "mpp": 0.5})


def tiles() -> Tensor:
    return torch.from_numpy(tiny.tiles(4, side=SIDE)).permute(0, 3, 1, 2)

"""Explanations against closed forms, and against second implementations by finite differences."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch import Tensor, nn

from wsi.errors import UsageError
from wsi.predict.explain.grad_cam import grad_cam, map_layer, signed_cam
from wsi.predict.explain.integrated_gradients import gradient, integrated_gradients, smeared
from wsi.predict.explain.occlusion import occlusion


class Small(nn.Module):
    """Two convolutions, a smooth bend between them, the mean over all places, and a layer that isn't linear."""

    def __init__(self, *, linear_head: bool = False) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 5, 3, stride=2, padding=1)
        self.head = nn.Linear(5, 1) if linear_head else nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 1))
        self.double()

    def above(self, maps: Tensor) -> Tensor:
        found: Tensor = self.head(maps.mean(dim=(2, 3)))[:, 0]
        return found

    def forward(self, images: Tensor) -> Tensor:
        return self.above(self.last(torch.tanh(self.first(images))))


def images(count: int = 2, side: int = 16) -> Tensor:
    return torch.randn(count, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def differences(function: Callable[[Tensor], Tensor], at: Tensor, *, step: float = 1e-5) -> Tensor:
    """Return the gradient of a sum of scores by central differences."""
    flat = at.reshape(-1)
    found = torch.zeros_like(flat)
    for i in range(len(flat)):
        moved = torch.zeros_like(flat)
        moved[i] = step
        up, down = ((flat + sign * moved).reshape(at.shape) for sign in (1, -1))
        with torch.no_grad():
            found[i] = (function(up).sum() - function(down).sum()) / (2 * step)
    return found.reshape(at.shape)


def test_integrated_gradients_of_a_linear_score_are_w_times_the_difference_after_one_step() -> None:
    some, base = images(), images() * 0.1
    w = torch.randn(3, 16, 16, dtype=torch.float64)
    found = integrated_gradients(lambda x: (x * w).sum(dim=(1, 2, 3)) + 5, some, base, steps=1)
    assert torch.allclose(found, w * (some - base), rtol=1e-12, atol=1e-12)


def test_integrated_gradients_of_a_square_are_exact_by_midpoints() -> None:
    some, base = images(), torch.zeros_like(images())
    found = integrated_gradients(lambda x: (x**2).sum(dim=(1, 2, 3)), some, base, steps=3)
    assert torch.allclose(found, some**2)


def test_integrated_gradients_add_up_to_the_difference_of_the_scores() -> None:
    network, some = Small(), images()
    base = smeared(some)
    with torch.no_grad():
        wanted = network(some) - network(base)
    found = integrated_gradients(network, some, base, steps=50).sum(dim=(1, 2, 3))
    assert torch.allclose(found, wanted, atol=1e-5)
    assert (wanted.abs() > 0.002).all()


def test_integrated_gradients_agree_with_finite_differences() -> None:
    network, some = Small(), images(1, 8)
    base = torch.zeros_like(some)
    ways = [(k + 0.5) / 4 for k in range(4)]
    wanted = some * torch.stack([differences(network, share * some) for share in ways]).mean(dim=0)
    assert torch.allclose(integrated_gradients(network, some, base, steps=4), wanted, atol=1e-8)


def test_a_px_that_nothing_depends_on_gets_nothing() -> None:
    def score(x: Tensor) -> Tensor:
        return torch.sin(x[:, :, :, :8]).sum(dim=(1, 2, 3))

    found = integrated_gradients(score, images(), smeared(images()))
    assert not found[:, :, :, 8:].any()
    assert found[:, :, :, :8].any()


@pytest.mark.parametrize("layer", ["first", "last"])
def test_maps_are_what_finite_differences_of_the_layer_say(layer: str) -> None:
    network, some = Small(), images(1, 8)
    with torch.no_grad():
        first = network.first(some)
        maps = first if layer == "first" else network.last(torch.tanh(first))
    above = network.above if layer == "last" else lambda a: network.above(network.last(torch.tanh(a)))
    slopes = differences(above, maps)
    alpha = slopes.numpy().mean(axis=(2, 3))
    signed = np.einsum("bc,bchw->bhw", alpha, maps.numpy())
    wanted = spread(np.maximum(signed, 0))
    assert np.allclose(grad_cam(network, network, some, layer=layer).numpy(), wanted, atol=1e-8)
    assert np.allclose(signed_cam(network, network, some, layer=layer).numpy(), spread(signed), atol=1e-8)


def spread(maps: NDArray[np.float64], side: int = 8) -> NDArray[np.float64]:
    """Return maps `(B, h', w')` at `side` px, linearly between the middles of their places, the outer ones repeated."""
    if maps.shape[-1] == side:
        return maps
    places = np.clip((np.arange(side) + 0.5) * maps.shape[-1] / side - 0.5, 0, maps.shape[-1] - 1)
    rows, columns = np.meshgrid(places, places, indexing="ij")
    return np.stack([map_coordinates(one, [rows, columns], order=1) for one in maps])


def test_signed_map_of_a_mean_and_a_linear_layer_is_the_class_activation_map() -> None:
    network, some = Small(linear_head=True), images(1, 8)
    with torch.no_grad():
        maps = network.last(torch.tanh(network.first(some)))  # (1, 5, 4, 4)
        weights = network.head.get_parameter("weight")[0]
        wanted = torch.einsum("c,bchw->bhw", weights, maps) / 16
        bias = network.head.get_parameter("bias")[0]
        assert torch.allclose(wanted.sum() + bias, network(some)[0])
    found = signed_cam(network, network, some, layer="last")
    assert np.allclose(found.numpy(), spread(wanted.numpy()))


def test_occlusion_of_a_linear_score_is_w_times_the_difference_of_each_cover() -> None:
    image, base = images()[0], torch.zeros(3, 16, 16, dtype=torch.float64)
    w = torch.randn(3, 16, 16, dtype=torch.float64)
    found = occlusion(lambda x: (x * w).sum(dim=(1, 2, 3)), image, base, cover=(1, 1))
    assert torch.allclose(found.double(), (w * image).sum(dim=0), atol=1e-5)


def test_occlusion_finds_the_square_that_the_score_counts() -> None:
    image = torch.zeros(3, 32, 32)
    image[:, 20:28, 4:12] = 1.0

    def score(x: Tensor) -> Tensor:
        return x[:, :, 20:28, 4:12].mean(dim=(1, 2, 3))

    found = occlusion(score, image, torch.zeros_like(image), cover=(4, 4))
    inside = torch.zeros(32, 32, dtype=torch.bool)
    inside[20:28, 4:12] = True
    assert inside.reshape(-1)[int(found.argmax())]
    assert found[inside].sum() / found.sum() > 0.75
    assert not found[:, 16:].any()


def test_a_smeared_picture_keeps_flat_color_and_loses_a_spot() -> None:
    flat = torch.full((1, 3, 32, 32), 0.3)
    assert torch.allclose(smeared(flat), flat, atol=1e-6)
    spot = flat.clone()
    spot[:, :, 15:17, 15:17] = 1.0
    assert smeared(spot).max() < 0.36


def test_gradients_need_none_of_the_weights() -> None:
    network = Small().requires_grad_(requires_grad=False)
    some = images(1)
    assert torch.allclose(gradient(network, some), differences(network, some), atol=1e-8)
    assert grad_cam(network, network, some, layer="last").shape == (1, 16, 16)
    assert all(one.grad is None for one in network.parameters())


def test_layers_that_are_not_there_or_give_no_map_are_refused() -> None:
    network = Small()
    with pytest.raises(UsageError, match="no layer 'middle'"):
        grad_cam(network, network, images(), layer="middle")
    with pytest.raises(UsageError, match="no map"):
        grad_cam(network, network, images(), layer="head")
    with pytest.raises(UsageError, match="integrated-gradients"):
        map_layer(network, images())

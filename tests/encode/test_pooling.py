from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.encode import tiny
from wsi.card import Architecture
from wsi.encode.build import TURNS, Pooled, build, output_dim, turned, turned_back
from wsi.errors import ModelError

TOKENS = [[1, 2], [70, 80], [900, 500], [3, 5], [5, 9], [4, 10]]
"""A class token, two registers and three patch tokens of width 2; the patches' mean is (4, 8)."""


class GivenTokens(nn.Module):
    def forward_features(self, images: Tensor) -> Tensor:
        return torch.tensor(TOKENS, dtype=torch.float32).expand(len(images), -1, -1)

    def forward(self, images: Tensor) -> Tensor:
        return torch.full((len(images), 3), 7.0)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [("cls", [1, 2]), ("mean", [4, 8]), ("cls+mean", [1, 2, 4, 8]), ("model", [7, 7, 7])],
)
def test_registers_never_enter_a_mean(pooling: str, expected: list[int]) -> None:
    features = Pooled(GivenTokens(), pooling, prefix_tokens=3)(torch.zeros(2, 3, 8, 8))
    assert features.tolist() == [expected, expected]


@pytest.mark.parametrize("registers", [0, 4])
def test_class_token_is_what_timm_itself_returns(registers: int) -> None:
    network = tiny.with_random_weights(tiny.tiny_vit(reg_tokens=registers))
    images = torch.rand(2, 3, tiny.SIDE, tiny.SIDE, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        pooled, plain = Pooled(network, "cls", prefix_tokens=1 + registers)(images), network(images)
    np.testing.assert_array_equal(pooled, plain)


def test_mean_is_over_the_patches_of_a_network_with_registers() -> None:
    network = tiny.with_random_weights(tiny.tiny_vit(reg_tokens=4))
    images = torch.rand(1, 3, tiny.SIDE, tiny.SIDE, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        (tokens,) = network.forward_features(images).double().tolist()  # type: ignore[operator]
        found = Pooled(network, "mean", prefix_tokens=5)(images)[0].tolist()
    assert len(tokens) == 1 + 4 + 16
    by_hand = [sum(token[i] for token in tokens[5:]) / 16 for i in range(tiny.DIM)]
    assert found == pytest.approx(by_hand, abs=1e-5)


def test_width_is_known_without_computing() -> None:
    network = Pooled(build(tiny.tiny_vit(reg_tokens=4)), "cls+mean", prefix_tokens=5)
    assert next(network.parameters()).device.type == "meta"
    assert output_dim(network, side_px=tiny.SIDE) == 64


def test_features_are_the_mean_over_turned_views_but_for_training() -> None:
    network = tiny.with_random_weights(tiny.tiny_vit())
    plain = Pooled(network, "cls", prefix_tokens=1).eval()
    images = torch.rand(2, 3, tiny.SIDE, tiny.SIDE, generator=torch.Generator().manual_seed(3))
    found = Pooled(network, "cls", prefix_tokens=1, turns=True).eval()
    with torch.inference_mode():
        both = (images, images.transpose(2, 3))
        views = [plain(one.flip(axes)) for one in both for axes in ((), (2,), (3,), (2, 3))]
        torch.testing.assert_close(found(images), torch.stack(views).mean(dim=0))
        torch.testing.assert_close(found(images.rot90(1, (2, 3))), found(images))
        assert torch.equal(found.train()(images), views[0])
    assert all(torch.equal(turned_back(turned(images, turn), turn), images) for turn in TURNS)


class GivenMaps(nn.Module):
    """Two layers' maps, and at the end tokens, a map whose channels come last, or the last map once more."""

    num_features = 3

    def __init__(self, end: str) -> None:
        super().__init__()
        self.end = end

    def forward_intermediates(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        maps = [images, 2 * images[:, :1]]
        last = {"tokens": images.flatten(2), "channels last": images.permute(0, 2, 3, 1), "same": maps[-1]}[self.end]
        return last, maps


@pytest.mark.parametrize("end", ["tokens", "channels last", "same"])
def test_layers_are_told_by_mean_spread_and_middle_of_their_maps(end: str) -> None:
    images = torch.rand(2, 3, 4, 6, generator=torch.Generator().manual_seed(4))
    images[0, 1] = 0.5
    images.requires_grad_()
    found = Pooled(GivenMaps(end), "layers", prefix_tokens=0)(images)
    maps = images.detach().double().numpy()
    means, spreads = maps.mean(axis=(2, 3)), maps.std(axis=(2, 3))
    middles = maps[:, :, 1:3, 1:5].mean(axis=(2, 3))
    of_all, of_first = (means, spreads, middles), (2 * one[:, :1] for one in (means, spreads, middles))
    expected = np.concatenate([*of_all, *of_first], axis=1)
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=2e-6)
    found.sum().backward()
    assert Pooled(GivenMaps(end), "layers", prefix_tokens=0).layer_widths(images) == (9, 3)
    assert images.grad is not None
    assert bool(images.grad.isfinite().all()), "the slope of a root at 0"


def test_network_without_layers_is_refused() -> None:
    with pytest.raises(ModelError, match="GivenTokens tells of no layers, which pooling: layers needs"):
        Pooled(GivenTokens(), "layers", prefix_tokens=1)


@pytest.mark.parametrize(
    ("name", "side_px", "last"),
    [("mobilenetv2_035", 64, 1280), ("resnet18", 64, 0), ("swin_tiny_patch4_window7_224", 224, 0)],
)
def test_layers_of_a_network_of_timm_are_seen_once_each(name: str, side_px: int, last: int) -> None:
    network = build(Architecture(name=name))
    told: Any = network.feature_info
    channels = [one["num_chs"] for one in (told.get_dicts() if hasattr(told, "get_dicts") else told)]
    assert output_dim(Pooled(network, "layers", prefix_tokens=0), side_px=side_px) == 3 * (sum(channels) + last)

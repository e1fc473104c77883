"""Claims about the U-Net: what it returns, what it costs, what it refuses."""

import numpy as np
import pytest
import torch

from wsi.errors import ModelError
from wsi.segment.unet import UNet, UNetSpec, blocks, make_unet, unblocked


@pytest.mark.parametrize(("axes", "size"), [(2, (16, 24)), (3, (8, 16, 24))])
@pytest.mark.parametrize("stem", [1, 2])
def test_each_sample_gets_a_score_for_each_class(axes: int, size: tuple[int, ...], stem: int) -> None:
    spec = UNetSpec(axes, 2, 3, widths=(4, 6, 8), stem=stem)
    scores = make_unet(spec, seed=0)(torch.zeros(2, 2, *size))
    assert scores.shape == (2, 3, *size)


@pytest.mark.parametrize("axes", [2, 3])
def test_image_that_comes_to_a_single_px_at_the_coarsest_level_is_read(axes: int) -> None:
    network = make_unet(UNetSpec(axes, 1, 2, widths=(4, 6, 8)), seed=1).eval()
    images = torch.rand(2, 1, *(4,) * axes)
    alone = torch.cat([network(one[None]) for one in images])
    assert torch.allclose(alone, network(images), atol=1e-5)


def test_all_weights_learn() -> None:
    network = make_unet(UNetSpec(2, 1, 2, widths=(4, 6, 8), stem=2), seed=0)
    network(torch.rand(2, 1, 16, 16))[:, 1].square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in network.parameters())


def test_size_that_cannot_be_halved_is_refused() -> None:
    network = make_unet(UNetSpec(2, 1, 2, widths=(4, 6), stem=2), seed=0)
    with pytest.raises(ModelError, match="multiples of 4"):
        network(torch.zeros(1, 1, 18, 16))


@pytest.mark.parametrize(
    "wrong", [{"axes": 1}, {"widths": ()}, {"widths": (0,)}, {"classes": 1}, {"stem": 0}, {"widths": (9999,)}]
)
def test_spec_that_no_network_has_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        UNetSpec(**{"axes": 2, "channels": 1, "classes": 2, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (1, 2, 4, 6, 8)])
def test_blocks_are_put_back(shape: tuple[int, ...]) -> None:
    images = torch.arange(float(np.prod(shape))).reshape(shape)
    assert torch.equal(unblocked(blocks(images, 2), 2), images)


def test_blocks_are_those_of_torch_on_two_axes() -> None:
    images = torch.rand(2, 3, 6, 4)
    assert torch.equal(blocks(images, 2), torch.nn.functional.pixel_unshuffle(images, 2))


def test_same_seed_gives_the_same_weights_and_leaves_chance_alone() -> None:
    before = torch.get_rng_state()
    one, two = (make_unet(UNetSpec(2, 1, 2, widths=(4, 6)), seed=3).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("axes", [2, 3])
def test_brightness_and_contrast_of_the_whole_image_change_nothing_away_from_the_border(axes: int) -> None:
    """Instance normalization takes them out; the zeros beyond the border are another brightness, but only there."""
    network = make_unet(UNetSpec(axes, 1, 2, widths=(4,)), seed=1)
    image = torch.rand(1, 1, *[24] * axes, generator=torch.Generator().manual_seed(0))
    image -= image.mean()
    with torch.inference_mode():
        assert torch.allclose(network(image), network(image * 3), atol=1e-3)


def test_network_of_three_million_weights_is_below_six_megabytes_in_half_precision() -> None:
    network = UNet(UNetSpec(3, 1, 3, widths=(24, 40, 64, 80), stem=2))
    count = sum(p.numel() for p in network.parameters())
    assert count * 2 < 6e6

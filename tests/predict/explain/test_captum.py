"""Explanations beside captum's, where it is installed: the same numbers on a small network and on a whole model."""

import pytest
import torch
from torch import Tensor, nn

from tests.predict.explain.test_explain import head, reds
from tests.predict.explain.test_methods import Small, images
from wsi.predict.explain import ExplainedModel
from wsi.predict.explain.grad_cam import grad_cam, signed_cam
from wsi.predict.explain.integrated_gradients import integrated_gradients, smeared
from wsi.predict.explain.occlusion import occlusion

attr = pytest.importorskip("captum.attr")


@pytest.fixture(params=[False, True], ids=["bent head", "linear head"])
def network(request: pytest.FixtureRequest) -> nn.Module:
    return Small(linear_head=request.param)


@pytest.mark.parametrize("layer", ["first", "last"])
def test_grad_cam(network: nn.Module, layer: str) -> None:
    some = images()
    maps = attr.LayerGradCam(network, network.get_submodule(layer)).attribute(some, relu_attributions=True)
    wanted = attr.LayerAttribution.interpolate(maps, some.shape[2:], interpolate_mode="bilinear")
    found = grad_cam(network, network, some, layer=layer)
    assert torch.allclose(found, wanted[:, 0], rtol=1e-9, atol=1e-12)
    assert found.any()


@pytest.mark.parametrize("layer", ["first", "last"])
def test_signed_cam_is_grad_cam_before_its_relu(network: nn.Module, layer: str) -> None:
    some = images()
    maps = attr.LayerGradCam(network, network.get_submodule(layer)).attribute(some)
    wanted = attr.LayerAttribution.interpolate(maps, some.shape[2:], interpolate_mode="bilinear")[:, 0]
    assert torch.allclose(signed_cam(network, network, some, layer=layer), wanted, rtol=1e-9, atol=1e-12)
    assert (wanted < 0).any()


def test_integrated_gradients(network: nn.Module) -> None:
    """captum keeps the places between the two in float32."""
    some, base = images(), smeared(images())
    told = attr.IntegratedGradients(network).attribute(some, base, n_steps=24, method="riemann_middle")
    assert torch.allclose(integrated_gradients(network, some, base, steps=24), told, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("cover", [(4, 4), (2, 8)])
def test_occlusion(network: nn.Module, cover: tuple[int, int]) -> None:
    """captum tells the fall of each cover, ours that of each px of it."""
    (image,), (base,) = images(1), smeared(images(1))
    windows, strides = (3, *cover), (3, *(side // 2 for side in cover))
    told = attr.Occlusion(network).attribute(image[None], windows, strides=strides, baselines=base[None])[0, 0]
    found = occlusion(network, image, base, cover=cover)
    assert torch.allclose(found.double() * cover[0] * cover[1], told.double(), atol=1e-6)
    assert found.any()


def test_whole_model_from_px_to_the_score_of_either_class() -> None:
    model: ExplainedModel = reds(head())
    some = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))

    def score(x: Tensor) -> Tensor:
        return model.score(x, to="blue")

    told = attr.LayerGradCam(score, model.network.get_submodule("places")).attribute(some, relu_attributions=True)
    wanted = attr.LayerAttribution.interpolate(told, (32, 32), "bilinear")[:, 0]
    assert torch.allclose(grad_cam(score, model.network, some), wanted, atol=1e-6)
    parts = attr.IntegratedGradients(score).attribute(some, smeared(some), n_steps=24, method="riemann_middle")
    assert torch.allclose(integrated_gradients(score, some, smeared(some)), parts, atol=1e-6)

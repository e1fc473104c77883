"""Class activation maps of a convolutional network: which places of a layer the score rises with."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from wsi.errors import UsageError

LEAST_SIDE = 7
"""The map is taken from the deepest layer that has at least so many places along each side,"""
MOST_STRIDE = 16
"""and a place at least every so many px: coarser maps point past what is small (docs/performance.md)."""
LAST = "bn2"
"""Where timm's efficient networks have the map that is pooled, which their list of layers leaves out."""
Score = Callable[[Tensor], Tensor]
"""From images `(B, 3, h, w)` to one number each, `(B,)`."""


def grad_cam(score: Score, network: nn.Module, images: Tensor, *, layer: str | None = None) -> Tensor:
    """Return `relu(sum over channels of alpha_c A_c)` for each image, `(B, h, w)`, alpha_c the mean gradient over A_c.

    Args:
        score: goes through `network`.
        network: of timm, or any where `layer` names a module that gives `(B, C, h', w')`.
        images: `(B, 3, h, w)`.
        layer: name of a module; None takes `map_layer`'s.

    Raises:
        UsageError: no such layer, or one whose output is no map.

    Source: Selvaraju et al. 2017, eq. 1 and 2.
    """
    return _spread(_signed(score, network, images, layer).relu(), images)


def signed_cam(score: Score, network: nn.Module, images: Tensor, *, layer: str | None = None) -> Tensor:
    """Return Grad-CAM's sum before its relu, `(B, h, w)`: what speaks for, and below 0 what speaks against.

    Of a layer that is averaged and then weighed linearly, it adds up to the score but for the bias. Args and errors as
    `grad_cam`.

    Source: Selvaraju et al. 2017, eq. 1; Zhou et al. 2016 for the sum.
    """
    return _spread(_signed(score, network, images, layer), images)


def _signed(score: Score, network: nn.Module, images: Tensor, layer: str | None) -> Tensor:
    activations, gradients = _layer(score, network, images, layer)
    weights = gradients.mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
    return (weights * activations).sum(dim=1)  # (B, h', w')


def map_layer(network: nn.Module, images: Tensor) -> str:
    """Return the name of the deepest layer whose map is fine enough (LEAST_SIDE, MOST_STRIDE), or the finest there is.

    Raises:
        UsageError: the network tells of no layers that give maps, as a transformer.
    """
    told = getattr(network, "feature_info", None)
    known = told.get_dicts() if told is not None and hasattr(told, "get_dicts") else list(told or [])
    names = [str(one["module"]) for one in known]
    modules = dict(network.named_modules())
    names = [name for name in (*names, LAST) if name in modules]
    if not names:
        raise UsageError("this network has no layers that give maps; take integrated-gradients or occlusion")
    sizes: dict[str, tuple[int, ...]] = {}

    def look(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda _module, _inputs, output: sizes.__setitem__(name, tuple(output.shape))

    handles = [modules[name].register_forward_hook(look(name)) for name in names]
    try:
        with torch.inference_mode():
            network(images[:1])
    finally:
        for handle in handles:
            handle.remove()
    maps = [name for name in names if len(sizes.get(name, ())) == 4]
    if not maps:
        raise UsageError("this network has no layers that give maps; take integrated-gradients or occlusion")
    least = max(LEAST_SIDE, min(images.shape[2:]) / MOST_STRIDE)
    fine = [name for name in maps if min(sizes[name][2:]) >= least]
    return fine[-1] if fine else maps[0]


def _layer(score: Score, network: nn.Module, images: Tensor, layer: str | None) -> tuple[Tensor, Tensor]:
    """Return a layer's output and the score's gradient by it, both `(B, C, h', w')`."""
    name = map_layer(network, images) if layer is None else layer
    module = dict(network.named_modules()).get(name)
    if module is None:
        raise UsageError(f"the network has no layer {name!r}")
    kept: list[Tensor] = []
    handle = module.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    try:
        with torch.enable_grad():
            # Weights need no gradients, so the images must: else nothing is remembered on the way.
            total = score(images.detach().requires_grad_()).sum()
            output = kept[0]
            if output.ndim != 4:
                raise UsageError(f"layer {name!r} gives {tuple(output.shape)}, no map (B, C, h, w)")
            (gradients,) = torch.autograd.grad(total, output)
    finally:
        handle.remove()
    return output.detach(), gradients.detach()


def _spread(maps: Tensor, images: Tensor) -> Tensor:
    """Return maps `(B, h', w')` over the px of the images, `(B, h, w)`, linearly between the places' middles."""
    return interpolate(maps[:, None], images.shape[2:], mode="bilinear", align_corners=False)[:, 0]

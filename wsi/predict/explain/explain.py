"""One call for all methods: a picture as it was read in, the same picture's heat out."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import affine_transform
from torch import Tensor, nn

from wsi.errors import UsageError, did_you_mean
from wsi.field import Field
from wsi.predict.explain.explained import MAIN, ExplainedModel
from wsi.predict.explain.grad_cam import grad_cam, signed_cam
from wsi.predict.explain.integrated_gradients import integrated_gradients, smeared
from wsi.predict.explain.occlusion import occlusion
from wsi.preprocess import apply
from wsi.windows import Stitch, as_tile, cut, plan_windows

Method = Literal["grad-cam", "signed-cam", "integrated-gradients", "occlusion", "attention"]
METHODS: tuple[Method, ...] = get_args(Method)
DEFAULT: Method = "signed-cam"
HEAT = ("heat",)


def explain(
    model: ExplainedModel,
    field: Field,
    *,
    method: Method = DEFAULT,
    head: str = MAIN,
    to: str | None = None,
) -> Field:
    """Return where in a picture the model's score comes from: one channel `heat` float32 over the px of `field`.

    Higher is more for the class; below 0 is against it (not for grad-cam and attention, which know no against). The
    scale is the method's own: only places within one map compare. What preprocessing cut off has a heat of 0.

    Args:
        field: the picture as it was read, before the card's steps.
        head: "" for the model's own head, or the name of one under `also`.
        to: name of a class; None: the positive one. Attention has no class.

    Raises:
        UsageError: no such method or head, or a network that the method isn't for.
        ModelError: no such class, or a model that reads no pictures.
    """
    if method not in METHODS:
        raise UsageError(f"no method {method!r}; known: {', '.join(METHODS)}.{did_you_mean(method, METHODS)}")
    if head not in model.heads:
        known = ", ".join(name or "the model's own" for name in model.heads)
        raise UsageError(f"model {model.card.id} has no head {head!r}; known: {known}")
    return laid_on(
        explain_prepared(model, apply(field, model.accepts.preprocess), method=method, head=head, to=to), field
    )


def explain_prepared(
    model: ExplainedModel, prepared: Field, *, method: Method = DEFAULT, head: str = MAIN, to: str | None = None
) -> Field:
    """Return what `explain` does, of a picture after the card's steps, over its own px; errors as there."""
    accepts = model.accepts
    plan = plan_windows(prepared.shape, accepts.window, accepts.overlap)
    windows = [as_tile(cut(prepared.values, corner, plan.window, pad=accepts.pad)) for corner in plan.corners]
    heats = _attention(model, windows, head) if method == "attention" else _heats(model, windows, method, head, to)
    stitch = Stitch(prepared.shape, plan.window, 1)
    for corner, heat in zip(plan.corners, heats, strict=True):
        stitch.add(corner, heat[None])
    return prepared.with_values(np.nan_to_num(stitch.result()), channels=HEAT)


def laid_on(heat: Field, original: Field) -> Field:
    """Return a heat over the px of the picture as it was read, linearly between its own; 0 beyond it."""
    matrix = np.linalg.inv(heat.affine) @ original.affine  # an index of the original to one of the heat
    values = affine_transform(
        heat.values[0], matrix[:2, :2], matrix[:2, 2], output_shape=original.shape, order=1, mode="constant", cval=0.0
    )
    return original.with_values(values[None].astype(np.float32), channels=HEAT)


def _heats(
    model: ExplainedModel, windows: list[NDArray[np.uint8]], method: Method, head: str, to: str | None
) -> list[NDArray[np.float32]]:
    score = partial(model.score, head=head, to=to)
    network = getattr(model.network, "network", model.network)
    found = []
    for window in windows:
        images = model.images([window])
        found.append(_METHODS[method](score, network, images).float().numpy())
    return found


def _attention(model: ExplainedModel, windows: list[NDArray[np.uint8]], head: str) -> list[NDArray[np.float32]]:
    """Return each window's attention, over all of its px; several networks' mean."""
    _, members = model.heads[head]
    with torch.inference_mode():
        features = torch.cat([model.network(model.images([window])).float() for window in windows])  # (N, D)
        weights = torch.stack([member.read(features).attention for member in members]).mean(dim=0)  # (N,)
    return [np.full(one.shape[:2], float(weight), np.float32) for one, weight in zip(windows, weights, strict=True)]


Score = Callable[[Tensor], Tensor]


def _integrated(score: Score, _network: nn.Module, images: Tensor) -> Tensor:
    return integrated_gradients(score, images, smeared(images)).sum(dim=1)[0]


def _occluded(score: Score, _network: nn.Module, images: Tensor) -> Tensor:
    return occlusion(score, images[0], smeared(images)[0])


_METHODS: Mapping[str, Callable[[Score, nn.Module, Tensor], Tensor]] = {
    "grad-cam": lambda score, network, images: grad_cam(score, network, images)[0],
    "signed-cam": lambda score, network, images: signed_cam(score, network, images)[0],
    "integrated-gradients": _integrated,
    "occlusion": _occluded,
}

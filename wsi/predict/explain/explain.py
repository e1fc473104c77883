"""One call for all methods: a picture as it was read in, the same picture's heat out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wsi.encode.build import turned, turned_back
from wsi.errors import ModelError, UsageError, did_you_mean
from wsi.field import Field
from wsi.predict.explain.explained import MAIN, ExplainedModel
from wsi.predict.explain.grad_cam import grad_cam, signed_cam
from wsi.predict.explain.integrated_gradients import integrated_gradients, smeared
from wsi.predict.explain.occlusion import occlusion
from wsi.preprocess import apply
from wsi.regrid import onto
from wsi.tissue.field_of_view import field_of_view
from wsi.windows import Stitch, as_tile, cut, plan_windows

Method = Literal["grad-cam", "signed-cam", "integrated-gradients", "occlusion", "attention"]
METHODS: tuple[Method, ...] = get_args(Method)
DEFAULT: Method = "signed-cam"
HEAT = ("heat",)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is explained, and how: the method, the head ("" is the model's own) and the class it speaks for.

    `to` None stands for what `Head.speaks_for` says. Attention has no class.
    """

    method: Method = DEFAULT
    head: str = MAIN
    to: str | None = None


def check_asked(model: ExplainedModel, *, method: str = DEFAULT, head: str = MAIN, to: str | None = None) -> Asked:
    """Return what is asked of a model of pictures.

    Raises:
        UsageError: no such method or head. ModelError: no such class.
    """
    if method not in METHODS:
        raise UsageError(f"no method {method!r}; known: {', '.join(METHODS)}.{did_you_mean(method, METHODS)}")
    if head not in model.heads:
        known = ", ".join(name or "the model's own" for name in model.heads)
        raise UsageError(f"model {model.card.id} has no head {head!r}; known: {known}")
    names = [one.name for one in model.heads[head][0].classes]
    if to is not None and to not in names:
        raise ModelError(f"no class {to!r}; the model knows {', '.join(names)}")
    return Asked(method, head, to)


def explain(
    model: ExplainedModel, field: Field, *, method: str = DEFAULT, head: str = MAIN, to: str | None = None
) -> Field:
    """Return where in a picture the model's score comes from: one channel `heat` float32 over the px of `field`.

    Higher is more for the class; below 0 is against it (not for grad-cam and attention, which know no against). The
    scale is the method's own: only places within one map compare. What preprocessing cut off, and the dark surround of
    a round field of view, have a heat of 0.

    Args:
        field: the picture as it was read, before the card's steps.
        method, head, to: see `Asked`.

    Raises:
        UsageError: no such method or head, or a network that the method isn't for.
        ModelError: no such class, or a model that reads no pictures.
    """
    asked = check_asked(model, method=method, head=head, to=to)
    prepared = explain_prepared(model, apply(field, model.accepts.preprocess), asked)
    heat = onto(prepared, field.shape, field.affine, order=1)
    heat.values[:, ~field_of_view(field)] = 0
    return heat


def explain_prepared(model: ExplainedModel, prepared: Field, asked: Asked) -> Field:
    """Return what `explain` does, of a picture after the card's steps, over its own px.

    Raises:
        UsageError: a network that the method isn't for. ModelError: a model that reads no pictures.
    """
    accepts = model.accepts
    plan = plan_windows(prepared.shape, accepts.window, accepts.overlap)
    windows = [as_tile(cut(prepared.values, corner, plan.window, pad=accepts.pad)) for corner in plan.corners]
    heats = _attention(model, windows, asked.head) if asked.method == "attention" else _heats(model, windows, asked)
    stitch = Stitch(prepared.shape, plan.window, 1)
    for corner, heat in zip(plan.corners, heats, strict=True):
        stitch.add(corner, heat[None])
    return prepared.with_values(np.nan_to_num(stitch.result()), channels=HEAT)


def _heats(model: ExplainedModel, windows: list[NDArray[np.uint8]], asked: Asked) -> list[NDArray[np.float32]]:
    score = partial(model.score, head=asked.head, to=asked.to)
    network = getattr(model.network, "network", model.network)
    found = []
    for window in windows:
        images = model.images([window])
        views = [
            turned_back(_METHODS[asked.method](score, network, turned(images, turn)), turn) for turn in model.turns
        ]
        heat = torch.stack(views).mean(dim=0).float()
        found.append(model.on_window(heat, window.shape[:2]).numpy())
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

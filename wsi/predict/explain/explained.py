"""A model of pictures as one differentiable whole: from a window's px to the score that is explained."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate, logsigmoid, pad

from wsi.card import AcceptsField, Head, ModelCard, Transform
from wsi.encode.build import TURNS, Pooled, Turn
from wsi.encode.load import load_network
from wsi.encode.transform import crop_start, prepare
from wsi.errors import ModelError
from wsi.mil import Head as Network
from wsi.mil import cumulative_logits
from wsi.model_folder import encoder_folder, find_folder, model_card
from wsi.predict.model import WEIGHTS, also_tensors, load_model
from wsi.predict.weights import OOD, make_members, read_tensors

MAIN = ""
"""Name of the model's own head, beside those under `also`."""
LEAST = 1e-6
"""Two cuts nearer than this leave a grade between them no odds at all."""


@dataclass(frozen=True, slots=True)
class ExplainedModel:
    """card; the encoder's network and transform; heads by name, each with the networks that vote."""

    card: ModelCard
    network: nn.Module
    transform: Transform
    heads: dict[str, tuple[Head, tuple[Network, ...]]]

    @property
    def accepts(self) -> AcceptsField:
        """What the model eats.

        Raises:
            ModelError: it reads slides.
        """
        if not isinstance(self.card.input, AcceptsField) or self.card.input.axes != 2:
            raise ModelError(f"model {self.card.id} reads no pictures; only models of pictures are explained px by px")
        return self.card.input

    def images(self, windows: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Return windows `(h, w, 3)` uint8 as the network's input `(B, 3, h', w')`."""
        return prepare(torch.from_numpy(np.stack(windows)), self.transform)

    def on_window(self, heat: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return heat `(h', w')` over the network's input as it lies on a window `(h, w)`; 0 where that was cropped."""
        if self.transform.crop_px is not None:
            whole = self.transform.resize_px or shape[0]
            before = crop_start(whole, self.transform.crop_px)
            after = whole - self.transform.crop_px - before
            heat = pad(heat, (before, after, before, after))
        if heat.shape == shape:
            return heat
        return interpolate(heat[None, None], shape, mode="bilinear", align_corners=False)[0, 0]

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The views of an image that the encoder reads."""
        return TURNS if isinstance(self.network, Pooled) and self.network.turns else TURNS[:1]

    def score(self, images: Tensor, *, head: str = MAIN, to: str | None = None) -> Tensor:
        """Return what is explained of each image as a bag of its own, `(B,)`, as it is seen unturned.

        The log odds of a class of two; the logit of one of several; the log odds of one of ordered grades, and without
        `to` their mean log odds of being above each, which rises with the grade.

        Args:
            to: name of a class; None: what `Head.speaks_for` says.
        """
        told, members = self.heads[head]
        see = self.network.pooled if isinstance(self.network, Pooled) else self.network
        features = see(images).float()  # (B, D)
        logits = torch.stack([member(features[:, None])[0] for member in members]).mean(dim=0)  # (B, C)
        return class_score(logits, told, to=to)


def class_score(logits: Tensor, head: Head, *, to: str | None = None) -> Tensor:
    """Return the number `(B,)` that stands for a class in logits `(B, C)`; see `ExplainedModel.score`."""
    names = [one.name for one in head.classes]
    if head.type == "ordinal":
        above = cumulative_logits(logits) if head.link == "corn" else logits
        return above.mean(dim=1) if to is None else grade_log_odds(above, names.index(to))
    if not names:
        return logits.mean(dim=1)
    at = head.positive_index if to is None else names.index(to)
    if head.type == "binary":
        return logits[:, 0] if at == 1 else -logits[:, 0]
    return logits[:, at]


def grade_log_odds(above: Tensor, grade: int) -> Tensor:
    """Return the log odds `(B,)` of one of ordered grades by those of being above each but the last, `(B, K - 1)`."""
    above = torch.cummin(above, dim=1).values
    if grade == 0:
        return -above[:, 0]
    if grade == above.shape[1]:
        return above[:, -1]
    reaches, passes = above[:, grade - 1], above[:, grade]
    # P = sigmoid(r) sigmoid(-p) (1 - e^(p - r)), 1 - P = sigmoid(-r) + sigmoid(p)
    log_in = logsigmoid(reaches) + logsigmoid(-passes) + torch.log(-torch.expm1((passes - reaches).clamp(max=-LEAST)))
    return log_in - torch.logaddexp(logsigmoid(-reaches), logsigmoid(passes))


def load_explained(name: str | Path) -> ExplainedModel:
    """Return a model of pictures, in fp32 on the CPU, after all checks of `load_model`.

    Raises:
        ModelError, WeightsError, EncoderMismatchError: as `load_model` and `load_network`.
    """
    load_model(name)
    folder = find_folder(str(name), "model")
    card, path = model_card(folder), folder / WEIGHTS
    encoder, network, digest, _ = load_network(str(encoder_folder(card.encoder.name, folder)), None)
    if digest != card.encoder.sha256:
        raise ModelError(f"{folder}: the encoder's weights are {digest[:12]}, the card says {card.encoder.sha256[:12]}")
    tensors = read_tensors(path, sha256=card.weights_sha256)
    own = {key: one for key, one in tensors.items() if key not in OOD and not key.startswith("also.")}
    heads = {MAIN: (card.head, tuple(make_members(card.head, own, path)))}
    for one in card.also:
        heads[one.name] = (one.head, tuple(make_members(one.head, also_tensors(tensors, one, path), path)))
    for module in (network, *(member for _, members in heads.values() for member in members)):
        module.eval().requires_grad_(requires_grad=False)
    return ExplainedModel(card, network, encoder.transform, heads)

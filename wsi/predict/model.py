"""A model folder, loaded with care: hash, names, shapes and its own selftest are checked before it says anything."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsi.card import Also, ModelCard
from wsi.errors import ArtifactError, EncoderMismatchError, ModelError, WeightsError
from wsi.model_folder import encoder_card, encoder_folder, find_folder, model_card
from wsi.predict.familiar import make_familiar
from wsi.predict.selftest import check_selftest
from wsi.predict.shown import calibrated, is_finite, mean_of, show, tile_scores
from wsi.predict.verdict import BagReading
from wsi.predict.weights import OOD, make_members, read_tensors

WEIGHTS = "weights.safetensors"
ALSO = "also."
"""Tensors of the heads that the card names under `also` start so."""


class LoadedModel:
    """A head (or several that vote) with its calibration."""

    def __init__(self, card: ModelCard, tensors: Mapping[str, Tensor], path: Path) -> None:
        """Build the heads; WeightsError when the tensors of the file at `path` aren't those of the card's head."""
        self.card = card
        heads = {name: tensor for name, tensor in tensors.items() if name not in OOD and not name.startswith(ALSO)}
        self._members = make_members(card.head, heads, path)
        self._also = [(one, make_members(one.head, also_tensors(tensors, one, path), path)) for one in card.also]
        self._check_also(tensors, path)
        self._familiar = make_familiar(card, tensors, path, dim=self.dim)

    @property
    def dim(self) -> int:
        """Width of a feature."""
        return self._members[0].dim

    def read(self, features: NDArray[np.float32]) -> BagReading:
        """Return what is shown of a bag `(N, D)`, its attention and tile scores; means over the members.

        Raises:
            EncoderMismatchError: D isn't what the head was made for.
            EmptyBagError: N is 0.
            ArtifactError: the features are so large that the head overflows.
        """
        self._check_width(features)
        bag = torch.from_numpy(np.ascontiguousarray(features, np.float32))
        with one_thread():
            readings = [member.read(bag) for member in self._members]
            shown = mean_of([show(calibrated(r.logits, self.card), self.card.head) for r in readings])
            attention = np.mean([r.attention.double().numpy() for r in readings], axis=0)
            scores = np.mean([tile_scores(r.tile_logits, self.card) for r in readings], axis=0)
        if not (is_finite(shown) and np.isfinite(attention).all() and np.isfinite(scores).all()):
            raise ArtifactError(
                f"features up to {np.abs(features).max():.3g} make the head overflow; no encoder gives such: encode the slide again"
            )
        value = None if self.card.head.classes else float(shown.values)
        return BagReading(shown.probabilities, attention, scores, value=value, curve=shown.curve)

    def read_also(self, features: NDArray[np.float32]) -> list[NDArray[np.float64]]:
        """Return what the card's further heads say of a bag `(N, D)`, calibrated probabilities `(K,)` each.

        Raises:
            EncoderMismatchError, EmptyBagError: as `read`.
        """
        self._check_width(features)
        bag = torch.from_numpy(np.ascontiguousarray(features, np.float32))
        with one_thread():
            return [
                mean_of([show(calibrated(member.read(bag).logits, one), one.head) for member in members]).probabilities
                for one, members in self._also
            ]

    def _check_also(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        known = tuple(f"{ALSO}{one.name}." for one in self.card.also)
        stray = [name for name in tensors if name.startswith(ALSO) and not name.startswith(known or "\0")]
        if stray:
            raise WeightsError(f"{path}: {stray[0]} belongs to no head that the card names under `also`")
        if any(member.dim != self.dim for _, members in self._also for member in members):
            raise WeightsError(f"{path}: a head under `also` reads features of another width than {self.dim}")

    def distance(self, features: NDArray[np.float32]) -> float | None:
        """Return how far the bag `(N, D)` is from the training bags; None where the card has no rule for it."""
        if self._familiar is None:
            return None
        return float(self._familiar.distances(features.mean(axis=0, dtype=np.float64)[None])[0])

    def _check_width(self, features: NDArray[np.float32]) -> None:
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise EncoderMismatchError(
                f"model {self.card.id} reads features of {self.dim}, found {features.shape}; "
                f"encode with {self.card.encoder.name}"
            )


@contextmanager
def one_thread() -> Iterator[None]:
    """Let this thread's torch work be done by it alone: with more, a bag of 7 tiles gets other last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def load_model(name: str | Path) -> LoadedModel:
    """Return the model of a name or folder, once it has reproduced its selftest on this machine.

    Raises:
        ModelError: no such model, a card that doesn't keep the schema, or a selftest that fails.
        WeightsError: weights that are missing, damaged or of another head.
        EncoderMismatchError: the encoder of that name isn't the one the model was made with.
    """
    folder = find_folder(str(name), "model")
    card = model_card(folder)
    path = folder / WEIGHTS
    model = LoadedModel(card, read_tensors(path, sha256=card.weights_sha256), path)
    _check_encoder(model, folder)
    check_selftest(model, folder)
    return model


def also_tensors(tensors: Mapping[str, Tensor], one: Also, path: Path) -> dict[str, Tensor]:
    """Return the tensors of a head under `also`; WeightsError when there are none."""
    prefix = f"{ALSO}{one.name}."
    found = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    if not found:
        raise WeightsError(f"{path}: no tensor starts {prefix}, but the card asks for it; get the folder again")
    return found


def _check_encoder(model: LoadedModel, folder: Path) -> None:
    """Raise EncoderMismatchError when the encoder that the card names is of another width or has other weights."""
    told = model.card.encoder
    try:
        encoder = encoder_card(encoder_folder(told.name, folder))
    except ModelError:
        return  # a plug-in or timm:NAME: the run checks the weights that it loads
    if encoder.dim != model.dim:
        raise EncoderMismatchError(
            f"model {model.card.id} reads features of {model.dim}, {told.name} gives {encoder.dim}"
        )
    if encoder.weights.sha256 not in (None, told.sha256):
        raise EncoderMismatchError(
            f"model {model.card.id} was made with weights {told.sha256[:12]} of {told.name}, "
            f"the catalog knows {str(encoder.weights.sha256)[:12]}; get the model or the encoder again"
        )

"""A model's own example: what it must give on this machine before it may say anything of a slide."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, uint8

from wsi.card import Accepts, ModelCard
from wsi.errors import ArtifactError, ModelError
from wsi.predict.verdict import Model
from wsi.predict.weights import read_tensors, sound

NAMES = {"features", "tile"}


class Encodes(Protocol):
    """What a check of the embedding needs of an encoder."""

    def encode(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]: ...


def check_selftest(model: Model, folder: Path) -> None:
    """Raise ModelError unless the model gives for its example's features what its card says."""
    path, tensors = _example(model.card, folder)
    features = sound(path, "features", tensors["features"]).numpy()
    try:
        reading = model.read(features)
    except ArtifactError as error:
        raise ModelError(f"{path}: the selftest fails: {error}") from error
    told = model.card.selftest
    found = reading.probabilities if reading.value is None else np.array([reading.value])
    expected = np.array(told.probability if told.value is None else [told.value])
    most = told.tolerance * np.maximum(1.0, np.abs(expected))
    if expected.shape != found.shape or not (np.abs(found - expected) <= most).all():
        raise ModelError(
            f"{path}: the selftest gives {np.round(found, 5).tolist()}, the card says {expected.tolist()}; "
            "this model can't be trusted on this machine: get its folder again, or tell its makers"
        )


def check_embedding(card: ModelCard, folder: Path, encoder: Encodes) -> bool:
    """Return whether there is an example tile; raise ModelError unless the encoder embeds it as the card says.

    Takes a pass through the encoder, so it is for a check of the machine and not for every load.
    """
    path, tensors = _example(card, folder)
    if "tile" not in tensors or card.selftest.embedding_norm is None:
        return False
    found = float(np.linalg.norm(encoder.encode(tensors["tile"].numpy()[None]).astype(np.float64)))
    expected = card.selftest.embedding_norm
    if not abs(found - expected) <= card.selftest.tolerance * expected:
        raise ModelError(
            f"{path}: {card.encoder.name} embeds the tile with norm {found:.6g}, the card says {expected:.6g}; "
            "the encoder doesn't work on this machine as it did where the model was made"
        )
    return True


def _example(card: ModelCard, folder: Path) -> tuple[Path, dict[str, Tensor]]:
    """Return the example's file and tensors, features `(N, D)` and maybe a tile."""
    path = folder / card.selftest.file
    tensors = read_tensors(path)
    features, tile = tensors.get("features"), tensors.get("tile")
    if features is None or features.ndim != 2 or not len(features) or set(tensors) - NAMES:
        shapes = {name: tuple(tensor.shape) for name, tensor in list(tensors.items())[:3]}
        raise ModelError(f"{path}: holds {shapes or 'nothing'}; expected features (N, D) and at most a tile beside it")
    if tile is None:
        return path, tensors
    wanted = (card.input.tile_px, card.input.tile_px) if isinstance(card.input, Accepts) else tuple(tile.shape[:2])
    shape = (*wanted, 3)
    if tile.dtype != uint8 or tuple(tile.shape) != shape:
        raise ModelError(f"{path}: tile is {tuple(tile.shape)} {tile.dtype}, expected {shape} uint8")
    return path, tensors

"""A model or encoder as a folder: found by its name, its card read, its hash taken."""

import hashlib
from pathlib import Path
from typing import Literal

from wsi.card import EncoderCard, ModelCard
from wsi.config import read_yaml
from wsi.errors import ModelError, UsageError, did_you_mean
from wsi.publish import sha256_file
from wsi.resources import shipped

CARD = "model.yaml"
ENCODERS = "encoders"
"""Folder of the encoders, beside those of the models."""


def find_folder(name: str, kind: Literal["model", "encoder"]) -> Path:
    """Return the folder of a shipped model or encoder by name, or the folder itself when a path is given.

    Raises:
        ModelError: no such folder; the message lists the near names.
    """
    if Path(name, CARD).is_file():
        return Path(name)
    catalog = shipped("models") / ENCODERS if kind == "encoder" else shipped("models")
    names = sorted(p.parent.name for p in catalog.glob(f"*/{CARD}"))
    if name in names:
        return catalog / name
    hint = did_you_mean(name, names) or f" Known: {', '.join(names)}."
    raise ModelError(f"{kind} {name!r}: no such name and no folder with a {CARD}.{hint}")


def _read(folder: Path, into: type[EncoderCard] | type[ModelCard]) -> EncoderCard | ModelCard:
    try:
        return read_yaml(folder / CARD, into)
    except UsageError as error:
        raise ModelError(str(error)) from error


def encoder_card(folder: Path) -> EncoderCard:
    """Read an encoder's card; ModelError when it doesn't keep the schema."""
    card = _read(folder, EncoderCard)
    assert isinstance(card, EncoderCard)
    return card


def model_card(folder: Path) -> ModelCard:
    """Read a model's card; ModelError when it doesn't keep the schema."""
    card = _read(folder, ModelCard)
    assert isinstance(card, ModelCard)
    return card


def folder_digest(folder: Path) -> str:
    """Return one sha256 over the card and the weights of a model folder: the model's hash."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.name == CARD or p.suffix == ".safetensors"):
        digest.update(f"{path.name} {sha256_file(path)}\n".encode())
    return digest.hexdigest()

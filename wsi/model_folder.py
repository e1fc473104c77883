"""A model or encoder as a folder: found by its name, its card read, its hash taken."""

import hashlib
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel

from wsi.card import OWN_ENCODER, Card, EncoderCard, MaskCard, ModelCard
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


def encoder_card(folder: Path) -> EncoderCard:
    """Read an encoder's card; ModelError when it doesn't keep the schema."""
    return _read(folder, EncoderCard)


def model_card(folder: Path) -> ModelCard:
    """Read the card of a model of bags; ModelError when it doesn't keep the schema or is another kind of model's."""
    card = any_card(folder)
    if isinstance(card, MaskCard):
        raise ModelError(
            f"{folder / CARD}: {card.id} marks structures and has no head; run it with `wsi-run FOLDER -m`"
        )
    return card


def any_card(folder: Path) -> Card:
    """Read a model's card, of whichever kind; ModelError when it doesn't keep the schema."""
    return _read(folder, MaskCard) if _read(folder, _Outline).network is not None else _read(folder, ModelCard)


class _Outline(BaseModel):
    """What tells the kinds of models apart."""

    network: object = None


C = TypeVar("C", bound=BaseModel)


def _read(folder: Path, into: type[C]) -> C:
    try:
        return read_yaml(folder / CARD, into)
    except UsageError as error:
        raise ModelError(str(error)) from error


def encoder_folder(name: str, model: Path) -> Path:
    """Return the folder of a model's encoder: its own, or one of the catalog. ModelError when there is none."""
    return find_folder(str(model / OWN_ENCODER) if name == OWN_ENCODER else name, "encoder")


def folder_digest(folder: Path) -> str:
    """Return one sha256 over the card and the weights of a model folder: the model's hash."""
    digest = hashlib.sha256()
    own = folder / OWN_ENCODER
    for path in (*_sealed(folder), *(_sealed(own) if own.is_dir() else ())):
        digest.update(f"{path.relative_to(folder).as_posix()} {sha256_file(path)}\n".encode())
    return digest.hexdigest()


def _sealed(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.name == CARD or p.suffix == ".safetensors")

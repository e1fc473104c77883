"""Which encoders there are, what their terms are, and what is missing to run one. No torch, no network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wsi import registry
from wsi.card import EncoderCard
from wsi.encode.sources import WEIGHTS, Weights, fetched_folder, find_weights, next_step
from wsi.model_folder import CARD, ENCODERS, encoder_card, find_folder
from wsi.resources import shipped

Status = Literal["shipped", "fetched", "needs fetch", "needs token", "needs weights", "not built here"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One encoder of the catalog; `missing` says what to do before it runs, "" when it is ready."""

    card: EncoderCard
    folder: Path
    status: Status
    missing: str

    @property
    def ready(self) -> bool:
        return self.status in ("shipped", "fetched")


def entries() -> list[Entry]:
    """Return the encoders of the catalog by name."""
    return [_entry(path.parent) for path in sorted((shipped("models") / ENCODERS).glob(f"*/{CARD}"))]


def plugin_names() -> list[str]:
    """Return the encoders that installed packages offer; none of them is imported."""
    return list(registry.plugins("wsi.encoders"))


def check(name: str) -> tuple[Entry, Weights | None]:
    """Return one encoder, and its weights when they are here and have the right sha256.

    Raises:
        ModelError: no such encoder, or a card that doesn't keep the schema.
        WeightsError: the weights that are here are damaged.
    """
    entry = _entry(find_folder(name, "encoder"))
    return entry, find_weights(entry.card, entry.folder) if entry.ready else None


def has_token() -> bool:
    """Return whether a token for the hub is set up (HF_TOKEN, or the hub's own log-in)."""
    from huggingface_hub import get_token

    return get_token() is not None


def _entry(folder: Path) -> Entry:
    card = encoder_card(folder)
    status = _status(card, folder)
    return Entry(card, folder, status, _missing(card, status))


def _status(card: EncoderCard, folder: Path) -> Status:
    if card.architecture.library != "timm":
        return "not built here"
    if card.weights.file is not None and (folder / card.weights.file).is_file():
        return "shipped"
    if (fetched_folder(card.id) / WEIGHTS).is_file():
        return "fetched"
    if card.weights.hub is None:
        return "needs weights"
    return "needs token" if card.licence.gated and not has_token() else "needs fetch"


def _missing(card: EncoderCard, status: Status) -> str:
    if status in ("shipped", "fetched"):
        return ""
    if status == "not built here":
        needs = {
            "transformers": "the transformers library",
            "package": "its publishers' package",
            "remote-code": "code that comes with its weights",
        }[card.architecture.library]
        return f"runs with {needs}, which is not run here; install a plug-in for it (entry point wsi.encoders)"
    pickled = card.weights.hub_file is not None and not card.weights.hub_file.endswith(".safetensors")
    only = f"; published as {card.weights.hub_file}, which is a pickle and has to be converted" if pickled else ""
    return next_step(card) + only

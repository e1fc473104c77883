"""Where an encoder's weights lie on this machine. No network, no torch, and never a pickle."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from wsi.card import Architecture, EncoderCard
from wsi.errors import ModelError, WeightsError
from wsi.publish import sha256_file
from wsi.resources import home

WEIGHTS = "model.safetensors"
SOURCE = "source.json"
"""Beside fetched weights: {hub, file, revision, sha256}."""
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".npz", ".npy")
CONVERT = (
    "pickled weights can carry code and are never loaded; convert the file once, where you trust it, with "
    'safetensors.torch.save_file(torch.load(FILE, weights_only=True), "model.safetensors"), '
    "and give the result with --weights"
)


@dataclass(frozen=True, slots=True)
class Weights:
    """A weights file whose sha256 was taken, and checked where one is known."""

    path: Path
    sha256: str
    revision: str


def encoders_folder() -> Path:
    """Return the folder of fetched encoders: $WSI_MODELS/encoders, else that of the user's data folder."""
    named = os.environ.get("WSI_MODELS")
    data = Path(os.environ.get("XDG_DATA_HOME") or home() / ".local" / "share")
    return (Path(named) if named else data / "wsi-run") / "encoders"


def fetched_folder(name: str) -> Path:
    """Return where the fetched weights of the encoder `name` lie, or would."""
    return encoders_folder() / name.replace(":", "-")


def require_timm(architecture: Architecture) -> None:
    """Raise ModelError unless the architecture is one that timm builds."""
    if architecture.library != "timm":
        raise ModelError(
            f"{architecture.name}: needs the {architecture.library} library, and only timm's networks are built here; "
            "install a plug-in for it (entry point wsi.encoders)"
        )


def find_weights(card: EncoderCard, folder: Path | None, *, given: Path | None = None) -> Weights:
    """Return the weights to use: those given, else those in the card's folder, else those fetched.

    Args:
        folder: the encoder's folder; None for a card that was not read from one.
        given: a file, or a folder with one .safetensors file, that the user named.

    Raises:
        WeightsError: there are none, they are pickled, or their sha256 is not the expected one.
    """
    if given is not None:
        return _checked(_named_file(given), card.weights.sha256, revision="")
    if folder is not None and card.weights.file is not None:
        return _checked(_inside(folder, card.weights.file), card.weights.sha256, revision=card.weights.revision or "")
    fetched = fetched_folder(card.id)
    if (fetched / WEIGHTS).exists():
        source = read_source(fetched)
        return _checked(fetched / WEIGHTS, card.weights.sha256 or source["sha256"], revision=source["revision"])
    raise WeightsError(f"{card.id}: there are no weights on this machine; {next_step(card)}")


def next_step(card: EncoderCard) -> str:
    """Return what a person does to get the weights of `card`."""
    if card.weights.hub is None and not card.id.startswith("timm:"):
        return "name a .safetensors file of this architecture with --weights FILE"
    gate = " (accept its terms on the hub first, and set HF_TOKEN)" if card.licence.gated else ""
    return f"`wsi-run models fetch {card.id}`{gate}, or name a .safetensors file with --weights FILE"


def read_source(folder: Path) -> dict[str, str]:
    """Read the source.json beside fetched weights; WeightsError when it is missing or damaged."""
    path = folder / SOURCE
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: can't be read ({error}); fetch the encoder again") from error
    keys = ("hub", "file", "revision", "sha256")
    if not isinstance(found, dict) or not all(isinstance(found.get(key), str) for key in keys):
        raise WeightsError(f"{path}: expected the texts {', '.join(keys)}; fetch the encoder again")
    return {key: found[key] for key in keys}


def _inside(folder: Path, name: str) -> Path:
    if Path(name).name != name:
        raise WeightsError(f"{folder}: weights.file must be a file name in that folder, found {name!r}")
    return folder / name


def _named_file(given: Path) -> Path:
    if not given.is_dir():
        return given
    files = sorted(given.glob("*.safetensors"))
    if len(files) == 1:
        return files[0]
    if not files and any(path.suffix in PICKLES for path in given.iterdir()):
        raise WeightsError(f"{given}: holds no .safetensors file; {CONVERT}")
    found = ", ".join(path.name for path in files[:3]) or "none"
    raise WeightsError(f"{given}: expected one .safetensors file, found {found}; name the file itself")


def _checked(path: Path, expected: str | None, *, revision: str) -> Weights:
    if path.suffix in PICKLES:
        raise WeightsError(f"{path}: {CONVERT}")
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    try:
        found = sha256_file(path)
    except OSError as error:
        raise WeightsError(f"{path}: can't be read ({error.strerror or error})") from error
    if expected is not None and found != expected:
        raise WeightsError(
            f"{path}: the sha256 of the weights is {found}, expected {expected}; "
            "the file is damaged or another one: get it again from its publisher"
        )
    return Weights(path, found, revision)

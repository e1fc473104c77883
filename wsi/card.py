"""A model folder's card: model.yaml, a closed schema of numbers and names, never code.

Two kinds: an encoder (models/encoders/<name>/) turns a tile into an embedding; a model
(models/<name>/) names an encoder and a head and says what it eats, what it means and how good it is.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from wsi.config import Positive, Share, Strict, read_yaml
from wsi.errors import ModelError, UsageError, did_you_mean
from wsi.publish import sha256_file
from wsi.resources import shipped

CARD = "model.yaml"
Color = tuple[int, int, int]
Triple = tuple[float, float, float]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ENCODERS = "encoders"


class _Yaml(Strict):
    """A card is read from YAML, where a tuple is a list and 1 is a number like 1.0."""

    model_config = {**Strict.model_config, "strict": False}


class Licence(_Yaml):
    weights: str
    """SPDX name or the name of the terms."""
    gated: bool = False
    """The hub asks for an account that has accepted the terms."""
    url: str | None = None
    note: str | None = None


class Weights(_Yaml):
    """Where an encoder's weights come from: a file in the folder, or a file on the hub."""

    file: str | None = None
    hub: str | None = None
    """Repository on the hub, owner/name."""
    hub_file: str | None = None
    revision: str | None = None
    sha256: Sha256 | None = None
    keys: Literal["timm", "dinov2", "transformers-dinov2", "transformers-vit"] = "timm"
    """How the file names its tensors; the others are translated to timm's names."""
    stored_px: int | None = None
    """Input size that the file's position grid was made for, when it isn't the network's: it is resampled."""


class Architecture(_Yaml):
    library: Literal["timm", "transformers", "remote-code", "package"] = "timm"
    """Only timm is built here; the others are described so that `models check` can say what is missing."""
    name: str
    arguments: dict[str, bool | int | float | str | None] = {}
    """Plain arguments of timm.create_model. Layers are named by text: mlp_layer: SwiGLUPacked, act_layer: SiLU."""


class Transform(_Yaml):
    """From a tile (uint8 RGB) to the network's input, in this order: resize, center crop, scale to 0-1, normalize."""

    resize_px: int | None = None
    """Shorter side after the resize; None keeps the tile's size."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    crop_px: int | None = None
    mean: Triple
    std: Triple


class EncoderInput(_Yaml):
    tile_px: int
    mpp: Positive
    mpp_range: tuple[Positive, Positive] | None = None
    """The scales the publishers trained on, when it is more than one."""


class EncoderCard(_Yaml):
    """models/encoders/<name>/model.yaml."""

    kind: Literal["encoder"]
    id: str
    version: str = "1"
    title: str
    citation: str | None = None
    licence: Licence
    architecture: Architecture
    weights: Weights
    input: EncoderInput
    transform: Transform
    pooling: Literal["model", "cls", "mean", "cls+mean"]
    """model: what the network returns; cls: token 0; mean: patch tokens; cls+mean: both, in this order."""
    prefix_tokens: int = 1
    """Tokens before the patch tokens (class token and registers), which a mean leaves out."""
    dim: int
    parameters_m: float | None = None
    """Million parameters, as built; a check that the architecture is the published one."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """What the publishers run it in on a GPU."""


class Class(_Yaml):
    name: str
    color: Color
    code: str | None = None
    """A terminology's code, e.g. SCT:108369006."""


class Accepts(_Yaml):
    """What a model eats."""

    modality: Literal["brightfield"] = "brightfield"
    stain: str = "H&E"
    tile_px: int
    mpp: Positive
    foreground: Literal["tissue", "all"] = "tissue"


class EncoderReference(_Yaml):
    name: str
    sha256: Sha256
    """Of the encoder's weights file: another encoder of that name is refused."""


class Head(_Yaml):
    type: Literal["binary", "multiclass", "ordinal"]
    aggregate: Literal["gated-attention", "mean"] = "gated-attention"
    activation: Literal["relu", "tanh", "identity"] = "relu"
    members: Annotated[int, Field(ge=1)] = 1
    classes: Annotated[list[Class], Field(min_length=2)]
    positive: str | None = None
    """Class whose probability the heatmap shows; None: the last."""


class Calibration(_Yaml):
    method: Literal["none", "temperature"] = "none"
    temperature: Positive = 1.0
    bias: float = 0.0
    tile_temperature: Positive | None = None
    """For the tiles' own scores, when it differs."""
    tile_bias: float | None = None
    fitted_on: str | None = None


class Threshold(_Yaml):
    name: str
    value: Share
    chosen_by: str
    sensitivity: Share | None = None
    specificity: Share | None = None
    achieved_on: str | None = None


class Referral(_Yaml):
    """Refer to a person when the positive probability lies in this band, or the slide is out of distribution."""

    low: Share
    high: Share
    reason: str


class OutOfDistribution(_Yaml):
    """Distance of the bag's mean embedding from the training bags, in whitened principal axes.

    Arrays in the weights file: ood.mean (D,), ood.axes (K, D), ood.scale (K,).
    """

    method: Literal["mahalanobis"]
    limit: Positive
    chosen_by: str


class Evaluation(_Yaml):
    name: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    note: str | None = None


class Training(_Yaml):
    data: list[str]
    data_licences: list[str]
    data_digest: str
    split_digest: str
    seed: int
    versions: dict[str, str]
    script: str


class Use(_Yaml):
    purpose: str
    not_for: list[str]
    status: Literal["research use only"]


class Selftest(_Yaml):
    file: str
    """safetensors with tile (224, 224, 3) uint8 and features (N, D): what they must give is below."""
    embedding_norm: float | None = None
    probability: list[float]
    tolerance: Positive = 1e-3


class ModelCard(_Yaml):
    """models/<name>/model.yaml."""

    kind: Literal["model"]
    id: str
    version: str
    title: str
    citation: str | None = None
    licence: Licence
    use: Use
    input: Accepts
    encoder: EncoderReference
    head: Head
    weights_sha256: Sha256
    calibration: Calibration = Calibration()
    thresholds: list[Threshold] = []
    referral: Referral | None = None
    out_of_distribution: OutOfDistribution | None = None
    evaluation: Annotated[list[Evaluation], Field(min_length=1)]
    training: Training
    selftest: Selftest


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
    import hashlib

    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.name == CARD or p.suffix == ".safetensors"):
        digest.update(f"{path.name} {sha256_file(path)}\n".encode())
    return digest.hexdigest()

"""A model folder's card: model.yaml, a closed schema of numbers and names, never code.

Two kinds: an encoder (models/encoders/<name>/) turns a tile into an embedding; a model
(models/<name>/) names an encoder and a head and says what it eats, what it means and how good it is.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from wsi.card_head import Class, Finite, FromYaml, Head, Quantity, SurvivalTimes
from wsi.config import Positive, Share

__all__ = [
    "Accepts", "Architecture", "Calibration", "Class", "EncoderCard", "EncoderInput", "EncoderReference", "Evaluation",
    "Head", "Licence", "ModelCard", "OutOfDistribution", "Quantity", "Referral", "Selftest", "SurvivalTimes",
    "Threshold", "Training", "Transform", "Use", "Weights",
]  # fmt: skip

Triple = tuple[float, float, float]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _plain(name: str) -> str:
    """Return the name of a file in the card's own folder."""
    if not name or name in (".", "..") or {"/", "\\", "\0"} & set(name):
        raise ValueError("must be the name of a file in this folder")
    return name


class Licence(FromYaml):
    weights: str
    """SPDX name or the name of the terms."""
    gated: bool = False
    """The hub asks for an account that has accepted the terms."""
    url: str | None = None
    note: str | None = None


class Weights(FromYaml):
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


class Architecture(FromYaml):
    library: Literal["timm", "transformers", "remote-code", "package"] = "timm"
    """Only timm is built here; the others are described so that `models check` can say what is missing."""
    name: str
    arguments: dict[str, bool | int | float | str | None] = {}
    """Plain arguments of timm.create_model. Layers are named by text: mlp_layer: SwiGLUPacked, act_layer: SiLU."""


class Transform(FromYaml):
    """From a tile (uint8 RGB) to the network's input, in this order: resize, center crop, scale to 0-1, normalize."""

    resize_px: int | None = None
    """Shorter side after the resize; None keeps the tile's size."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    crop_px: int | None = None
    mean: Triple
    std: Triple


class EncoderInput(FromYaml):
    tile_px: int
    mpp: Positive
    mpp_range: tuple[Positive, Positive] | None = None
    """The scales the publishers trained on, when it is more than one."""


class EncoderCard(FromYaml):
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


class Accepts(FromYaml):
    """What a model eats."""

    modality: Literal["brightfield"] = "brightfield"
    stain: str = "H&E"
    tile_px: int
    mpp: Positive
    foreground: Literal["tissue", "all"] = "tissue"


class EncoderReference(FromYaml):
    name: str
    sha256: Sha256
    """Of the encoder's weights file: another encoder of that name is refused."""


class Calibration(FromYaml):
    method: Literal["none", "temperature"] = "none"
    temperature: Positive = 1.0
    bias: Finite = 0.0
    """logits / temperature + bias are the log odds that are shown."""
    tile_temperature: Positive | None = None
    """For the tiles' own scores, when it differs."""
    tile_bias: Finite | None = None
    fitted_on: str | None = None

    @property
    def is_identity(self) -> bool:
        """Whether the logits are shown as they are."""
        return (self.temperature, self.bias, self.tile_temperature, self.tile_bias) == (1.0, 0.0, None, None)


class Threshold(FromYaml):
    name: str
    value: Share
    chosen_by: str
    sensitivity: Share | None = None
    specificity: Share | None = None
    achieved_on: str | None = None


class Referral(FromYaml):
    """Refer to a person when the positive probability lies in this band, or the slide is out of distribution."""

    low: Share
    high: Share
    reason: str

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


class OutOfDistribution(FromYaml):
    """Distance of the bag's mean embedding from the training bags, in whitened principal axes.

    Arrays in the weights file: ood.mean (D,), ood.axes (K, D), ood.scale (K,).
    """

    method: Literal["mahalanobis"]
    limit: Positive
    chosen_by: str


class Evaluation(FromYaml):
    name: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    note: str | None = None


class Training(FromYaml):
    data: list[str]
    data_licences: list[str]
    data_digest: str
    split_digest: str
    seed: int
    versions: dict[str, str]
    script: str


class Use(FromYaml):
    purpose: str
    not_for: list[str]
    status: Literal["research use only"]


class Selftest(FromYaml):
    file: Annotated[str, AfterValidator(_plain)]
    """safetensors with features (N, D) and maybe tile (tile_px, tile_px, 3) uint8: what they must give is below."""
    embedding_norm: Positive | None = None
    probability: list[Share] = []
    """One a class, of heads with classes."""
    value: Finite | None = None
    """Of heads without: the quantity, the log hazard (Cox), or the risk within the last time (discrete-time)."""
    tolerance: Annotated[float, Field(gt=0.0, le=0.01)] = 1e-3
    """Of each probability; also the embedding norm's and, where it is above 1, the value's, relative."""


class ModelCard(FromYaml):
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

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        names = [one.name for one in self.thresholds]
        if len(set(names)) < len(names):
            raise ValueError(f"two thresholds of one name: {', '.join(names)}")
        if names and self.head.type != "binary":
            raise ValueError(f"thresholds are for binary heads; a {self.head.type} one takes the likeliest class")
        classes = len(self.head.classes)
        if len(self.selftest.probability) != classes:
            raise ValueError(f"selftest.probability must have {classes} numbers, one a class")
        if (self.selftest.value is None) == (not classes):
            raise ValueError(f"selftest.value is for heads without classes, this one has {classes}")
        if self.referral is not None and not classes:
            raise ValueError(f"referral is a band of probabilities, and a {self.head.type} head gives none")
        if not self.calibration.is_identity and not classes and not self.head.cuts:
            raise ValueError(f"calibration is for log odds, and a {self.head.type} head without time bins gives none")
        return self

"""A model folder's card: model.yaml, a closed schema of numbers and names, never code.

An encoder (models/encoders/<name>/) turns a tile into an embedding. A model (models/<name>/) says what it eats, what it
means and how good it is: one of bags names an encoder and a head, a dense one a network that marks structures.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from wsi.card_head import Class, Count, Finite, FromYaml, Head, Quantity, SurvivalTimes
from wsi.card_image import AcceptsField, MaskSelftest, Network, Postprocess, Side, Structure, check_units
from wsi.config import Positive, Share
from wsi.errors import ModelError

__all__ = [
    "OWN_ENCODER", "Accepts", "AcceptsField", "Also", "Architecture", "Calibration", "Card", "Class", "EncoderCard",
    "EncoderInput", "EncoderReference", "Evaluation", "Head", "Licence", "MaskCard", "ModelCard", "OutOfDistribution",
    "Quantity", "Referral", "Selftest", "Structure", "SurvivalTimes", "Threshold", "Training", "Transform", "Use", "Weights", "check_structures",
]  # fmt: skip

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _plain(name: str) -> str:
    """Return the name of a file in the card's own folder."""
    if not name or name in (".", "..") or {"/", "\\", "\0"} & set(name):
        raise ValueError("must be the name of a file in this folder")
    return name


def _one_folder(name: str) -> str:
    """Return an id by which a folder can be called: that of fetched weights."""
    if name in (".", "..") or {"/", "\\", "\0"} & set(name):
        raise ValueError("must be a name without / and \\, by which a folder can be called")
    return name


class Licence(FromYaml):
    weights: str
    """SPDX name or the name of the terms."""
    gated: bool = False
    """The hub asks for an account that has accepted the terms."""
    url: str | None = None
    note: str | None = None


class ModelLicence(Licence):
    consent: bool = False
    """The model runs only for who says, by the name in `weights`, that they keep these terms (non-commercial, say)."""


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

    resize_px: Side | None = None
    """Shorter side after the resize; None keeps the tile's size."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    crop_px: Side | None = None
    mean: tuple[Finite, Finite, Finite]
    std: tuple[Positive, Positive, Positive]


class EncoderInput(FromYaml):
    tile_px: Side
    mpp: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    """µm per px; 0 of images without a scale, whose encoder a model keeps in its own folder."""
    mpp_range: tuple[Positive, Positive] | None = None
    """The scales the publishers trained on, when it is more than one."""


class EncoderCard(FromYaml):
    """models/encoders/<name>/model.yaml."""

    kind: Literal["encoder"]
    id: Annotated[str, AfterValidator(_one_folder)]
    version: str = "1"
    title: str
    citation: str | None = None
    licence: Licence
    architecture: Architecture
    weights: Weights
    input: EncoderInput
    transform: Transform
    pooling: Literal["model", "cls", "mean", "cls+mean", "layers"]
    """model: what the network returns; cls: token 0; mean: patch tokens; cls+mean: both, in this order; layers: mean,
    spread and middle of each layer's maps, where timm tells of them."""
    prefix_tokens: Annotated[int, Field(ge=0)] = 1
    """Tokens before the patch tokens (class token and registers), which a mean leaves out."""
    turns: bool = False
    """Read each image in quarter turns and mirrored as well; features are the mean of the eight views."""
    dim: Count
    parameters_m: float | None = None
    """Million parameters, as built; a check that the architecture is the published one."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """What the publishers run it in on a GPU."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        side, crop_px = self.transform.resize_px or self.input.tile_px, self.transform.crop_px
        if crop_px is not None and crop_px > side:
            raise ValueError(f"transform.crop_px {crop_px} can't be cut from images of {side} px")
        return self

    def computed_by(self) -> str:
        """Return, as JSON, all but the weights that an embedding depends on."""
        return self.model_dump_json(
            include={"architecture", "transform", "pooling", "prefix_tokens", "turns", "input", "dim"}
        )


class Accepts(FromYaml):
    """What a model eats."""

    modality: Literal["brightfield"] = "brightfield"
    stain: str = "H&E"
    tile_px: Side
    mpp: Positive
    foreground: Literal["tissue", "all"] = "tissue"

    @property
    def told(self) -> str:
        """What the model eats, in words."""
        return f"{self.tile_px} px at {self.mpp:g} µm/px, {self.stain}"


OWN_ENCODER = "./encoder"
"""The encoder lies in the model's own folder, under `encoder`."""


class EncoderReference(FromYaml):
    name: str
    """Of the catalog, or ./encoder for the model's own."""
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
    """Distance of the bag's mean embedding from the training bags.

    Arrays in the weights file: ood.mean (D,), principal axes ood.axes (K, D), and along them ood.scale (K,).
    """

    method: Literal["mahalanobis", "residual"]
    """mahalanobis: in the axes, in standard deviations; residual: how much of it lies outside of them."""
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


class Also(FromYaml):
    """A second thing that a model says of the same bag: tensors `also.<name>.` of the weights file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    title: str
    head: Head
    calibration: Calibration = Calibration()
    thresholds: list[Threshold] = []
    referral: Referral | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if not self.head.classes:
            raise ValueError(f"a {self.head.type} head can't be a second one: it has no classes")
        if self.thresholds and self.head.type != "binary":
            raise ValueError(f"thresholds are for binary heads, this one is {self.head.type}")
        return self


def _kind_of_input(value: Any) -> str:
    axes = value.get("axes") if isinstance(value, dict) else getattr(value, "axes", None)
    return "Accepts" if axes is None else "AcceptsField"


Input = Annotated[
    Annotated[Accepts, Tag("Accepts")] | Annotated[AcceptsField, Tag("AcceptsField")], Discriminator(_kind_of_input)
]


class _AnyModel(FromYaml):
    """What the card of every model says."""

    kind: Literal["model"]
    id: str
    version: str
    title: str
    citation: str | None = None
    licence: ModelLicence
    use: Use


class ModelCard(_AnyModel):
    """models/<name>/model.yaml of a model of bags: an encoder for each tile or window, a head over all of them."""

    input: Input
    encoder: EncoderReference
    head: Head
    also: list[Also] = []
    weights_sha256: Sha256
    calibration: Calibration = Calibration()
    thresholds: list[Threshold] = []
    referral: Referral | None = None
    out_of_distribution: OutOfDistribution | None = None
    evaluation: Annotated[list[Evaluation], Field(min_length=1)]
    training: Training
    selftest: Selftest

    @property
    def slide_input(self) -> Accepts:
        """What a model of slides eats; ModelError for a model of other images."""
        if not isinstance(self.input, Accepts):
            raise ModelError(f"model {self.id} reads images of {self.input.axes} axes whole and no slides")
        return self.input

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        also = [one.name for one in self.also]
        if len(set(also)) < len(also):
            raise ValueError(f"two of `also` have one name: {', '.join(also)}")
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


def check_structures(
    structures: Sequence[Structure], threshold: float | None, postprocess: Sequence[Postprocess]
) -> None:
    """Raise ValueError for structures of one name, or a threshold or a step of postprocessing that they can't have."""
    names = [one.name for one in structures]
    if len(set(names)) < len(names):
        raise ValueError(f"two structures of one name: {', '.join(names)}")
    if threshold is not None and len(names) != 1:
        raise ValueError(f"threshold is for one structure, found {len(names)}")
    stray = {name for step in postprocess for name in step.structures} - set(names)
    if stray:
        raise ValueError(f"postprocess names {', '.join(sorted(stray))}; the structures are {', '.join(names)}")


class MaskCard(_AnyModel):
    """models/<name>/model.yaml of a dense model: a network that says of each sample which structure it belongs to."""

    input: AcceptsField
    network: Network
    structures: Annotated[list[Structure], Field(min_length=1)]
    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Of one structure: a sample is of it from this probability on; None: the likeliest class."""
    postprocess: list[Postprocess] = []
    weights_sha256: Sha256
    evaluation: Annotated[list[Evaluation], Field(min_length=1)]
    training: Training
    selftest: MaskSelftest

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        names = [one.name for one in self.structures]
        check_structures(self.structures, self.threshold, self.postprocess)
        check_units(self.structures, self.input.axes)
        if self.network.classes != len(names) + 1:
            raise ValueError(f"{len(names)} structures and the background are {len(names) + 1} classes of the network")
        if self.network.axes != self.input.axes:
            raise ValueError(f"the network has {self.network.axes} axes, the input {self.input.axes}")
        if len(self.selftest.samples) != len(names):
            raise ValueError(f"selftest.samples must have {len(names)} numbers, one a structure")
        return self


Card = ModelCard | MaskCard

"""Settings of a classifier of whole pictures; each default is written once, here."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from wsi.card import AcceptsField
from wsi.card_head import Color, FromYaml
from wsi.config import Positive, Share, Strict
from wsi.train.finetune import LayerRates
from wsi.train.labels import Wanted
from wsi.train.picture_views import PictureViews
from wsi.train.recipe import Count, Recipe
from wsi.train.settings import DataConfig, ModelConfig, Rule, TargetConfig, TrainConfig


class NamedClass(FromYaml):
    """A class as the labels file calls it, and as people read it."""

    label: str
    name: str
    color: Color
    code: str | None = None


class Asked(FromYaml):
    """One thing that is learned: a column of the labels and its classes in order, the negative or lowest first."""

    column: str
    kind: Literal["binary", "multiclass", "ordinal"]
    classes: Annotated[list[NamedClass], Field(min_length=2)]
    title: str = ""
    """As people read it; "" is the column's name."""
    positive: str | None = None
    """Name of the class whose probability is shown; None: the last."""
    weight: Positive = 1.0
    """Of its loss, relative to the others'."""
    balanced: bool = True
    """Let all its classes count alike, however many pictures they have."""
    rule: Rule = "youden"
    """How the threshold of a binary target is chosen on held-out pictures: youden, sensitivity>=0.9, specificity>=0.9."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        for values in ([one.label for one in self.classes], [one.name for one in self.classes]):
            if len(set(values)) < len(values):
                raise ValueError(f"column {self.column}: two classes of one name: {', '.join(values)}")
        if self.kind == "binary" and len(self.classes) != 2:
            raise ValueError(f"column {self.column}: a binary target has 2 classes, found {len(self.classes)}")
        names = [one.name for one in self.classes]
        if self.positive is not None and self.positive not in names:
            raise ValueError(f"column {self.column}: positive: one of {', '.join(names)}, found {self.positive!r}")
        if len(names) == 2 and self.positive == names[0]:
            raise ValueError(f"column {self.column}: positive: write the positive class last, found {names[0]!r} first")
        return self

    @property
    def wanted(self) -> Wanted:
        """The target as a cohort is asked for it."""
        return Wanted(self.column, (self.column,), self.kind, tuple(one.label for one in self.classes))

    @property
    def slug(self) -> str:
        """The column's name as a card can have it."""
        return re.sub(r"[^a-z0-9]+", "-", self.column.lower()).strip("-")


class PictureFit(LayerRates):
    """How one network is trained."""

    train: Literal["classifier", "last", "all"] = "all"
    """classifier: the encoder stays as it is, and a regression with `ridge` is fitted to what it says."""
    ridge: Positive = 100.0
    """Penalty on the squared weights of that regression, as that of so many pictures."""
    hidden: Annotated[int, Field(ge=0, le=4096)] = 0
    """Width of a layer between encoder and classifier, instead of that regression; 0: none."""
    epochs: Count = 10
    """All are gone through; what is kept is the running mean of the weights, and the last ones with `hidden`."""
    batch: Count = 16
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: Share = 0.1
    clip: Positive = 5.0
    """Most length of the gradient of a step."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    """Share of the embedding that a step doesn't see."""
    mix: Annotated[float, Field(ge=0.0)] = 0.0
    """Pictures of a batch are blended in pairs, by a share drawn from Beta(mix, mix); 0 blends none."""
    keep: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.98
    """Share of the running mean of the weights that a step leaves."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the processor or GPU computes in it by itself, else fp32."""
    device: str = "auto"
    threads: Annotated[int, Field(ge=1, le=1024)] = 1

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.hidden and self.train != "classifier":
            raise ValueError(
                f"hidden: only over an encoder that stays as it is (train: classifier), found {self.train}"
            )
        return self

    @property
    def passes(self) -> int:
        """How often the pictures go through the encoder; once, where it stays as it is."""
        return 1 if self.train == "classifier" else self.epochs

    @property
    def recipe(self) -> Recipe:
        """The part that the learning rate's schedule reads."""
        return Recipe(epochs=self.epochs, learning_rate=self.learning_rate, schedule=self.schedule, warmup=self.warmup)

    @property
    def hidden_recipe(self) -> Recipe:
        """How a network with `hidden` is trained."""
        shared = self.model_dump(
            include={
                "epochs",
                "learning_rate",
                "schedule",
                "warmup",
                "batch",
                "weight_decay",
                "clip",
                "device",
                "threads",
            }
        )
        return Recipe(**shared, patience=0, precision="fp32")


class PictureModel(Strict):
    """What the model folder says."""

    title: str
    purpose: str
    not_for: list[str] = []
    licence: str
    """Terms of the weights."""
    licence_note: str | None = None
    consent: bool = False
    """Whoever runs the model must say that they keep these terms."""
    citation: str | None = None
    data: list[str] = []
    data_licences: list[str] = []
    notes: list[str] = []
    """Sentences for the model card for people."""
    alpha: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """Share of error that the referral rule allows."""
    familiar: Share = 0.975
    """Share of held-out pictures that the out-of-distribution rule lets pass; 0 makes no rule."""


class PictureConfig(Strict):
    """A classifier of pictures: what it eats, what is asked of it, how it is trained and what its card says."""

    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Folds, first weights, order and views of the pictures: all of chance comes from it."""
    encoder: str = "mobilenetv2-imagenet"
    """Encoder to start from: a name, a folder, or timm:NAME."""
    input: AcceptsField
    """As the card says it; the window is what the network sees of a preprocessed picture."""
    turns: bool = False
    """Let the model read each picture in quarter turns and mirrored as well, and say the mean of the eight views."""
    layers: bool = False
    """Let the encoder say mean, spread and middle of each of its layers' maps, not only what its last one comes to. With
    `fit.hidden` all layers count alike, however many channels each has."""
    asked: Annotated[list[Asked], Field(min_length=1)]
    """The first is the model's head, the others are told beside it."""
    data: DataConfig = DataConfig()
    folds: Annotated[int, Field(ge=2, le=100)] = 4
    """Networks that are trained, each on the pictures of the other folds; the model is the mean of their weights."""
    fit: PictureFit = PictureFit()
    views: PictureViews = PictureViews()
    shifts: bool = True
    """Also test the held-out pictures with other colors, blurred, compressed and smaller (`wsi.train.picture_shifts`)."""
    model: PictureModel

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        window = self.input.window
        if self.input.axes != 2 or window is None or window[0] != window[1]:
            raise ValueError(f"input: expected 2 axes and a square window, found {self.input.axes} and {window}")
        slugs = [one.slug for one in self.asked]
        if len(set(slugs)) < len(slugs) or not all(slugs):
            raise ValueError(f"asked: the columns need names of their own, found {', '.join(slugs)}")
        return self

    @property
    def side_px(self) -> int:
        """Side of what the network sees."""
        assert self.input.window is not None
        return self.input.window[0]

    def study(self, asked: Asked) -> TrainConfig:
        """Return the settings of the study of one target, as its decisions and figures read them."""
        model = ModelConfig(
            rule=asked.rule,
            alpha=self.model.alpha,
            familiar=self.model.familiar,
            data=self.model.data,
            data_licences=self.model.data_licences,
        )
        return TrainConfig(seed=self.seed, data=self.data, target=TargetConfig(link="cumulative"), model=model)

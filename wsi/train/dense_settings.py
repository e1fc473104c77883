"""Settings of a model of masks; each default is written once, here."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from wsi.card import AcceptsField, Structure, check_structures
from wsi.card_image import Postprocess
from wsi.config import Positive, Strict
from wsi.train.dense_views import Views
from wsi.train.recipe import Count, Recipe


class Marked(Structure):
    """A structure, and what the mask files say where it is."""

    values: list[Annotated[int, Field(ge=1, le=255)]] = []
    """In the mask files; []: its place in the list, or, of a single structure, any value above 0."""


class MaskData(Strict):
    """Whose image is whose."""

    patient: str | None = None
    """Regular expression over the image's name with one group: the patient. None: each image is a patient of its own."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.patient is not None:
            try:
                groups = re.compile(self.patient).groups
            except re.error as error:
                raise ValueError(f"patient: {self.patient!r} is no regular expression: {error}") from error
            if groups != 1:
                raise ValueError(f"patient: {self.patient!r} must have one group, the patient; it has {groups}")
        return self


class MaskNetwork(Strict):
    """What is built; axes, channels and classes follow from the rest."""

    widths: list[Count] = []
    """Channels of each level, the finest first; [] is planned from the data."""
    stem: Annotated[int, Field(ge=1, le=4)] = 2
    """Px along each axis that the first layer takes together."""
    members: Annotated[int, Field(ge=1, le=16)] = 1
    """Networks of one shape that are trained from different seeds (seed, seed + 1, …) and vote when the model is used."""
    flips: list[Annotated[int, Field(ge=0, le=2)]] = []
    """Axes along which images are also read mirrored when the model is used."""


class MaskFit(Strict):
    """How a network is trained."""

    epochs: Count = 40
    """All are gone through; the rate has fallen to nothing at the last. The running mean of the weights is what is kept."""
    windows: Count = 1
    """Views of each image in an epoch."""
    batch: Count = 2
    """Windows a step."""
    learning_rate: Positive = 2e-3
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-3
    warmup: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    clip: Positive = 5.0
    """Most length of the gradient of a step."""
    dice: Annotated[float, Field(ge=0.0, le=10.0)] = 1.0
    """Weight of soft Dice beside cross-entropy."""
    keep: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the running mean of the weights that a step leaves; 0: the weights of the last step are kept."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the processor or GPU computes in it by itself, else fp32."""
    device: str = "auto"
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """CPU threads of the network; other numbers give other last bits."""

    @property
    def recipe(self) -> Recipe:
        """The part that the learning rate's schedule reads."""
        return Recipe(epochs=self.epochs, learning_rate=self.learning_rate, warmup=self.warmup)


class MaskTold(Strict):
    """What the model folder says."""

    title: str = "Structures of images (research)"
    purpose: str = "Research on marking structures"
    not_for: list[str] = ["diagnosis, screening or any decision about a patient"]
    licence: str = "not told"
    """Terms of the weights."""
    licence_note: str | None = None
    citation: str | None = None
    data: list[str] = []
    data_licences: list[str] = []
    notes: list[str] = []
    """Sentences for the model card for people."""


class MaskConfig(Strict):
    """A model of masks: what it eats, what it marks, how it is trained and tested, and what its card says."""

    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Folds, first weights, order and views of the images: all of chance comes from it."""
    data: MaskData = MaskData()
    input: AcceptsField | None = None
    """As the card says it; None is planned from the data."""
    structures: Annotated[list[Marked], Field(min_length=1, max_length=200)]
    network: MaskNetwork = MaskNetwork()
    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    postprocess: list[Postprocess] = []
    fit: MaskFit = MaskFit()
    views: Views = Views()
    scheme: Literal["k-fold", "holdout"] = "k-fold"
    """k-fold: a network a fold, tested on its patients; holdout: one network, tested on a share of the patients."""
    folds: Annotated[int, Field(ge=2, le=100)] = 4
    holdout: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.25
    """Share of the patients that are set apart."""
    final: Literal["all", "tested"] = "all"
    """all: the model is trained anew on all images; tested: it is the (last) network that was tested."""
    shifts: bool = True
    """Also test one held-out color picture of each patient in other light, blurred, compressed and smaller."""
    tolerance: Positive = 2.0
    """Distance within which outlines agree, for surface Dice: mm, or px of a picture."""
    model: MaskTold = MaskTold()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        check_structures(self.structures, self.threshold, self.postprocess)
        told = [value for one in self.structures for value in one.values]
        if len(set(told)) < len(told):
            raise ValueError("structures: two of them have one value in the masks")
        return self

    def learned_by(self) -> dict[str, object]:
        """Return the settings that weights depend on; others may change while a checkpoint stays good."""
        accepts = (
            None if self.input is None else self.input.model_dump(include={"axes", "channels", "preprocess", "window"})
        )
        values = [list(self.values_of(place)) for place in range(len(self.structures))]
        network = self.network.model_dump(include={"widths", "stem"})
        kept = self.model_dump(include={"seed", "fit", "views"})
        return {**kept, "input": accepts, "values": values, "network": network}

    def values_of(self, place: int) -> tuple[int, ...]:
        """Return the values in the mask files of the structure at a place of the list; () is any above 0."""
        told = self.structures[place].values
        return tuple(told) if told or len(self.structures) == 1 else (place + 1,)

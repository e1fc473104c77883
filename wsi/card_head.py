"""The section `head` of a model's card: what its logits mean, and the numbers that its network is built from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from wsi.config import Positive, Share, Strict

Level = Annotated[int, Field(ge=0, le=255)]
Color = tuple[Level, Level, Level]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=65536)]
MAX_MEMBERS = 64
MAX_BYTES = 64 << 20
"""Of the file of a head's weights: one of 1536 x 512 is 4 MB and ten that vote are 40 MB; a larger file isn't read."""


class FromYaml(Strict):
    """A card is read from YAML, where a tuple is a list and 1 is a number like 1.0."""

    model_config = {**Strict.model_config, "strict": False}


class Class(FromYaml):
    name: str
    color: Color
    code: str | None = None
    """A terminology's code, e.g. SCT:108369006."""


class Quantity(FromYaml):
    """What a regression gives: logit x scale + center, in `unit`."""

    name: str
    """What is measured, as people read it: Ki-67 index."""
    unit: str = ""
    center: Finite = 0.0
    scale: Positive = 1.0


class SurvivalTimes(FromYaml):
    """What a survival head gives: Cox a log hazard, discrete-time a hazard for each time bin."""

    model: Literal["cox", "discrete-time"]
    event: str
    """What happens, as people read it: death of any cause."""
    unit: str
    """Of the times: months."""
    times: list[Positive] = []
    """discrete-time: the ends of the bins but the last, which has none. cox: where the baseline is known. Rising."""
    baseline: list[Share] = []
    """cox: share that lives beyond each time at a log hazard of 0; falling. Empty: no curve is shown."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.times != sorted(set(self.times)):
            raise ValueError(f"times must rise, found {self.times}")
        if self.model == "discrete-time" and (not self.times or self.baseline):
            raise ValueError("a discrete-time head has times, the ends of its bins, and no baseline")
        if self.model == "cox" and len(self.baseline) != len(self.times):
            raise ValueError(
                f"a Cox head has a baseline for each time, found {len(self.baseline)} of {len(self.times)}"
            )
        if self.baseline != sorted(self.baseline, reverse=True):
            raise ValueError(f"baseline must fall, found {self.baseline}")
        return self


class Head(FromYaml):
    type: Literal["binary", "multiclass", "multilabel", "ordinal", "regression", "survival"]
    aggregate: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")] = "gated-attention"
    """A head of wsi.mil, or of a package that offers one."""
    activation: Literal["relu", "tanh", "identity"] = "relu"
    members: Annotated[int, Field(ge=1, le=MAX_MEMBERS)] = 1
    """Networks of one shape that vote; what they say and their attention are averaged."""
    heads: Count = 8
    """Of transmil's attention, which the weights don't tell."""
    landmarks: Count = 256
    """Of transmil's attention, which the weights don't tell."""
    link: Literal["cumulative", "corn"] = "cumulative"
    """Of ordered grades: log odds of being above each, or (corn) of being above it once above the one before."""
    classes: list[Class] = []
    positive: str | None = None
    """Class whose probability the heatmap shows; None: the last."""
    quantity: Quantity | None = None
    survival: SurvivalTimes | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        names = [one.name for one in self.classes]
        least = {"regression": 0, "survival": 0, "multilabel": 1}.get(self.type, 2)
        if len(set(names)) < len(names):
            raise ValueError(f"two classes of one name: {', '.join(names)}")
        if self.type == "binary" and len(names) != 2:
            raise ValueError(f"a binary head has 2 classes, found {len(names)}")
        if len(names) < least or (names and not least):
            raise ValueError(
                f"a {self.type} head has {f'at least {least}' if least else 'no'} classes, found {len(names)}"
            )
        if self.positive is not None and self.positive not in names:
            raise ValueError(f"positive must be one of {', '.join(names) or 'no classes'}, found {self.positive!r}")
        for kind, section in (("regression", self.quantity), ("survival", self.survival)):
            if (self.type == kind) != (section is not None):
                name = {"regression": "quantity", "survival": "survival"}[kind]
                raise ValueError(f"{name} is for {kind} heads and must be given there; this one is {self.type}")
        if self.link != "cumulative" and self.type != "ordinal":
            raise ValueError(f"link {self.link} is for ordinal heads, this one is {self.type}")
        return self

    @property
    def positive_index(self) -> int:
        """Place of the positive class in `classes`."""
        names = [one.name for one in self.classes]
        return len(names) - 1 if self.positive is None else names.index(self.positive)

    @property
    def speaks_for(self) -> str:
        """What a higher score speaks for, in words: the positive class, or more of what is measured."""
        if self.quantity is not None:
            return f"more {self.quantity.name}"
        if self.survival is not None:
            return f"a higher risk of {self.survival.event}"
        return "a higher grade" if self.type == "ordinal" else self.classes[self.positive_index].name

    @property
    def cuts(self) -> int:
        """Time bins of a discrete-time survival head, 0 of any other."""
        discrete = self.survival is not None and self.survival.model == "discrete-time"
        return len(self.survival.times) + 1 if self.survival is not None and discrete else 0

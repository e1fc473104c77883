"""Settings of a training run; each default is written once, here."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from wsi.config import Positive, Share, Strict
from wsi.evaluate import check_rule
from wsi.mil import HeadSpec, Kind
from wsi.train.recipe import Count, Recipe
from wsi.train.seal import Scheme
from wsi.train.survival import Ties
from wsi.train.tasks import Link

Rule = Annotated[str, AfterValidator(check_rule)]
"""How a threshold is chosen; see `wsi.evaluate.choose_threshold`."""


class DataConfig(Strict):
    """Which columns of the labels say what."""

    patient: str = "patient"
    """Column of the patient: never on two sides of a split."""
    slide: str | None = None
    """Column of the slide; None looks for slide, slide_id, file, … and else takes the case's."""
    site: str | None = None
    """Column of the hospital or scanner; None looks for site, center, … and else there are no sites."""
    bag: Literal["slide", "patient"] = "slide"
    """One bag a slide, or all slides of a patient as one."""
    absent: Literal["refuse", "drop"] = "refuse"
    """What becomes of lines without features."""
    duplicates: Literal["merge", "refuse", "report"] = "merge"
    """Patients who share a slide: taken as one, refused, or only told."""


class TargetConfig(Strict):
    """How the target is asked."""

    kind: Kind | None = None
    """binary, multiclass, multilabel, ordinal, regression, survival; None sees it from the values."""
    link: Link = "cumulative"
    """Ordered grades: cumulative (McCullagh 1980) or corn (Shi et al. 2023)."""
    ties: Ties = "efron"
    """Cox's model: what becomes of events at one time."""
    bins: Annotated[int, Field(ge=0, le=64)] = 0
    """Survival: number of time bins, of about as many events each; 0 is Cox's model."""
    edges: list[Positive] = []
    """Survival: ends of the time bins but the last, in the unit of the labels; wins over bins."""


class HeadConfig(Strict):
    """What becomes of the tiles; see `wsi.mil.HeadSpec`."""

    aggregate: str = "gated-attention"
    """mean, max, gated-attention, clam-sb, clam-mb, dsmil, transmil, a plug-in's, or linear (the section linear)."""
    hidden: Count = 128
    """Width of an embedded tile. Small, for cohorts of hundreds of cases."""
    width: Count = 64
    """Width of the attention or the queries."""
    activation: Literal["relu", "tanh", "identity"] = "relu"
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.25
    """Share of an embedded tile that a step doesn't see."""
    instances: Count = 8
    """CLAM: tiles of each end of the attention that are classified too."""
    instance_weight: Annotated[float, Field(ge=0.0)] = 3 / 7
    """CLAM: weight of that loss, relative to the bag's."""
    instance_loss: Literal["smooth-svm", "cross-entropy"] = "smooth-svm"
    heads: Count = 8
    """TransMIL: heads of its attention."""
    landmarks: Count = 256
    """TransMIL: landmarks of its attention."""


class LinearConfig(Strict):
    """The head "linear": the mean of the tiles and one linear layer; see `wsi.train.linear`."""

    ridge: Positive = 100.0
    """Penalty on the squared weights, as that of so many cases."""
    background: str | None = None
    """Features of tiles that speak for nothing (blood, clot, pen), which it learns to pass over. A bag named like a slide
    counts as made from it, and is seen only where that slide is trained on."""
    margin: float = 1.5
    """Log odds of not being background from which on a tile counts in full."""
    silence: Annotated[float, Field(ge=0.0)] = 9.0
    """Most that the attention of a tile like background loses."""
    cost: Annotated[float, Field(ge=0.0)] = 5.0
    """What its logits lose, a unit of log odds under the margin."""


class SplitConfig(Strict):
    """Who is trained on, who stops the training, who is tested."""

    scheme: Scheme = "k-fold"
    """k-fold, repeated-k-fold, nested, holdout, leave-one-out, leave-site-out, or file."""
    folds: Annotated[int, Field(ge=2, le=1000)] = 5
    repeats: Annotated[int, Field(ge=1, le=100)] = 1
    keep_sites: bool = False
    """Keep each site on one side, too."""
    validation: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    """Share of what isn't tested that stops the training and sets calibration, threshold and referral."""
    holdout: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.2
    """Share that a holdout tests."""
    inner: Annotated[int, Field(ge=2, le=100)] = 3
    """Folds inside each fold of a nested scheme, for the search."""


class SearchConfig(Strict):
    """Settings tried inside the training cases of each fold; its test cases are never looked at."""

    trials: Annotated[int, Field(ge=0, le=10_000)] = 0
    """How many settings; the first are those given. 0 and 1 search nothing."""
    sampler: Literal["random", "optuna"] = "random"
    """random: drawn from the seed. optuna: its TPE, when it is installed."""


class ModelConfig(Strict):
    """What the model folder says."""

    title: str | None = None
    """None makes one of the target."""
    final: Literal["members", "refit"] = "members"
    """members: the heads of the folds vote. refit: one head, trained on all cases for as long as the folds needed."""
    encoder: str | None = None
    """Encoder of features that don't name it (files of CLAM or TRIDENT)."""
    stain: str = "H&E"
    licence: str = "not chosen"
    """Terms of the weights."""
    data: list[str] = []
    """What the cohort is, in words."""
    data_licences: list[str] = []
    purpose: str | None = None
    """Intended use. None says: research on this target."""
    not_for: list[str] = []
    """What it isn't meant for, beside what no such model is."""
    notes: list[str] = []
    """What a person has to say of it in its README: choices, figures of other data, known failures."""
    codes: dict[str, str] = {}
    """Codes of classes, as SCT:1240414004; files for other tools carry them."""
    rule: Rule = "youden"
    """How the threshold of a binary target is chosen on validation cases: youden, sensitivity>=0.95, specificity>=0.9."""
    alpha: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """Share of error that the referral rule allows."""
    familiar: Share = 0.975
    """Share of held-out cases that the out-of-distribution rule lets pass; 0 makes no rule."""


class TrainConfig(Strict):
    """A whole training run."""

    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Folds, first weights, order of the bags, dropout: all of chance comes from it."""
    data: DataConfig = DataConfig()
    target: TargetConfig = TargetConfig()
    head: HeadConfig = HeadConfig()
    linear: LinearConfig = LinearConfig()
    fit: Recipe = Recipe()
    splits: SplitConfig = SplitConfig()
    search: SearchConfig = SearchConfig()
    model: ModelConfig = ModelConfig()


def head_spec(config: HeadConfig, kind: Kind, *, classes: int, cuts: int) -> HeadSpec:
    """Return the head that the settings tell for a target; UsageError when there can be none."""
    return HeadSpec(kind=kind, classes=classes, cuts=cuts, **config.model_dump())

"""How a head is trained: every choice that isn't a fitted number, with its default."""

import math
from typing import Annotated, Literal

from pydantic import Field

from wsi.config import Positive, Share, Strict

Count = Annotated[int, Field(ge=1, le=1_000_000)]


class Recipe(Strict):
    """One fit of one head."""

    epochs: Count = 40
    """Most passes over the training bags."""
    patience: Annotated[int, Field(ge=0)] = 10
    """Passes without a better loss on the validation bags until training stops; 0 goes through all epochs."""
    batch: Count = 8
    """Bags a step. They go through the head one at a time (those of one size together), so memory doesn't grow with it."""
    instances: Count | None = None
    """Tiles drawn from each bag at each pass, without putting back; None takes all."""
    learning_rate: Positive = 2e-4
    schedule: Literal["cosine", "constant"] = "cosine"
    """cosine: the rate falls along half a wave to nothing at the last epoch."""
    warmup: Share = 0.05
    """Share of all steps over which the rate rises from nothing."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-2
    """AdamW's."""
    clip: Positive | None = 5.0
    """Most length of the gradient of a step; None leaves it as it is."""
    balanced: bool = True
    """Let all classes count alike, however many cases they have."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """What the head computes in. auto: fp32 on a CPU; on a GPU bf16 where it has that, else fp16 with a scaled loss."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """CPU threads of a fit. Other numbers of threads give other last bits; 1 gives the same on every machine of a kind."""


def rate_at(step: int, steps: int, recipe: Recipe) -> float:
    """Return the learning rate of a step (from 0) of a fit of so many `steps`.

    Source: Loshchilov and Hutter 2017, eq. 5, one cycle.
    """
    warm = math.ceil(recipe.warmup * steps)
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    if recipe.schedule == "constant":
        return recipe.learning_rate
    return recipe.learning_rate * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))) / 2

"""The networks that go into a model folder: the folds' heads, which vote, or one head trained on all cases."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from wsi.errors import UsageError
from wsi.evaluate import Validation
from wsi.mil import Head
from wsi.train.candidate import Candidate, Trained, logits_of, train_head
from wsi.train.checkpoint import Epoch
from wsi.train.crossval import CHECKPOINT, FoldResult
from wsi.train.decisions import Decisions, validation_of
from wsi.train.heldout import decided
from wsi.train.linear_head import LINEAR
from wsi.train.study import Study

FIRST_REPEAT = "repeat 1,"
"""How the names of its folds begin."""
REFIT = 1_000_000
"""Place of the refit in the study's seeds: no fold has so high a number."""


@dataclass(frozen=True, slots=True)
class Final:
    """Heads of one shape and the decisions on what they say; told: how they were made, in words."""

    heads: tuple[Head, ...]
    candidate: Candidate
    decisions: Decisions
    told: str


def make_final(
    study: Study,
    results: Sequence[FoldResult],
    folder: Path,
    *,
    watch: Callable[[str, Epoch], None] | None = None,
) -> Final:
    """Return what the settings ask for; decisions come from the validation cases of all folds together.

    Raises:
        UsageError: heads that can't vote: the folds chose different shapes, or a Cox model whose level can't be set.
    """
    first = _of_first_repeat(results)
    decisions = decided(study, _pooled(study, first))
    if study.config.model.final == "refit":
        trained, candidate = _refit(study, first, folder, watch)
        steps = (
            "fitted to"
            if study.config.head.aggregate == LINEAR
            else f"{len(trained.epochs)} epochs, the folds' mean, on"
        )
        told = f"one head, {steps} all cases"
        return Final((_leveled(study, trained, candidate),), candidate, decisions, told)
    specs = {result.chosen.spec for result in first}
    if len(specs) > 1:
        raise UsageError(f"the folds chose {len(specs)} shapes of head, which can't vote; set model.final: refit")
    heads = tuple(_leveled(study, result.trained, result.chosen) for result in first)
    return Final(heads, first[0].chosen, decisions, f"the heads of the {len(heads)} folds, which vote")


def _of_first_repeat(results: Sequence[FoldResult]) -> list[FoldResult]:
    """Return the folds of the first repeat: together they have seen every case."""
    first = [result for result in results if result.fold.name.startswith(FIRST_REPEAT)]
    return first or list(results)


def voters(study: Study) -> int:
    """Return how many heads the model will have."""
    if study.config.model.final == "refit":
        return 1
    folds = study.splits.folds
    return sum(fold.name.startswith(FIRST_REPEAT) for fold in folds) or len(folds)


def _pooled(study: Study, results: Sequence[FoldResult]) -> Validation | None:
    parts = [
        part
        for result in results
        if (part := validation_of(study, result.trained.task, result.fold.validation, result.head.validation))
    ]
    if not parts:
        return None
    return Validation(
        parts[0].kind,
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.outputs for part in parts]),
        tuple(case for part in parts for case in part.cases),
        tuple(patient for part in parts for patient in part.patients),
    )


def _refit(
    study: Study, results: Sequence[FoldResult], folder: Path, watch: Callable[[str, Epoch], None] | None
) -> tuple[Trained, Candidate]:
    """Train on all cases, for as many epochs as the folds' best weights took on average."""
    best = min(results, key=lambda result: np.nan_to_num(result.trained.best.validation_loss, nan=np.inf))
    epochs = max(1, round(float(np.mean([result.trained.best.number + 1 for result in results]))))
    candidate = Candidate(best.chosen.spec, best.chosen.recipe.model_copy(update={"epochs": epochs, "patience": 0}))
    told = None if watch is None else lambda epoch: watch("all cases", epoch)
    everyone = range(len(study.cohort))
    return train_head(
        study, candidate, everyone, (), folder / "refit" / CHECKPOINT, place=(REFIT,), watch=told
    ), candidate


def _leveled(study: Study, trained: Trained, candidate: Candidate) -> Head:
    """Return the head; a Cox model's log hazard is made 0 for its mean training case, so that several can vote."""
    head, center = trained.head.cpu(), trained.task.center
    if not trained.task.joint:
        return head
    classifier = getattr(head, "classifier", None)
    bias = getattr(classifier, "bias", None)
    if not isinstance(bias, torch.Tensor):
        raise UsageError(
            f"a {candidate.spec.aggregate} head has no bias to set the level of a Cox model with; take another"
        )
    before = float(logits_of(trained, study, [0], candidate.recipe)[0, 0])
    with torch.no_grad():
        bias += 1.0
        share = float(logits_of(trained, study, [0], candidate.recipe)[0, 0]) - before  # DSMIL halves it
        bias -= 1.0 + center / share
    return head

"""Settings chosen inside a fold: tried on its training cases, judged on its validation cases or its inner folds."""

import importlib
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from wsi.errors import UsageError
from wsi.train.candidate import Candidate, logits_of, mean_loss, train_head
from wsi.train.linear_head import LINEAR
from wsi.train.seal import Fold
from wsi.train.study import Study

RATES = (5e-5, 5e-3)
DECAYS = (1e-4, 1e-1)
DROPOUTS = (0.0, 0.1, 0.25, 0.5)
WIDTHS = (32, 64, 128, 256, 512)
PLACE = 1
"""Trial t of fold k trains at the place (k, PLACE, t)."""
WatchTrial = Callable[[int, float], None]


class Chooser(Protocol):
    """Draws one number of what is tried next."""

    def between(self, name: str, low: float, high: float) -> float:
        """Return a number between two, alike often for each power."""
        ...

    def among(self, name: str, values: tuple[float, ...]) -> float: ...


class Drawn:
    """Numbers drawn from a seed."""

    def __init__(self, *seeds: int) -> None:
        self._rng = np.random.default_rng(list(seeds))

    def between(self, name: str, low: float, high: float) -> float:
        return float(f"{math.exp(self._rng.uniform(math.log(low), math.log(high))):.3g}")

    def among(self, name: str, values: tuple[float, ...]) -> float:
        return values[int(self._rng.integers(len(values)))]


class Suggested:
    """Numbers that a trial of Optuna suggests."""

    def __init__(self, trial: Any) -> None:
        self._trial = trial

    def between(self, name: str, low: float, high: float) -> float:
        return float(self._trial.suggest_float(name, low, high, log=True))

    def among(self, name: str, values: tuple[float, ...]) -> float:
        return float(self._trial.suggest_categorical(name, list(values)))


def propose(first: Candidate, chooser: Chooser) -> Candidate:
    """Return other settings around the first ones: rate, decay, dropout and width."""
    hidden = int(chooser.among("hidden", WIDTHS))
    spec = replace(
        first.spec, hidden=hidden, width=max(1, hidden // 2), dropout=float(chooser.among("dropout", DROPOUTS))
    )
    numbers = {
        "learning_rate": chooser.between("learning_rate", *RATES),
        "weight_decay": chooser.between("weight_decay", *DECAYS),
    }
    return Candidate(spec, first.recipe.model_copy(update=numbers))


def choose(study: Study, k: int, fold: Fold, folder: Path, *, watch: WatchTrial | None = None) -> Candidate:
    """Return the settings for fold k: those given, or the best of so many trials (the first are those given).

    Args:
        folder: of the fold; trial t keeps its checkpoints in trials/<t>.

    Raises:
        UsageError: a search of a linear head, without validation cases or inner folds, or by Optuna where it isn't
            installed.
    """
    first = Candidate(study.spec, study.config.fit)
    trials = study.config.search.trials
    if trials < 2:
        return first
    if study.config.head.aggregate == LINEAR:
        raise UsageError(f"the head {LINEAR!r} has no settings to search; leave out --search, or set linear.ridge")
    if not fold.validation and not fold.inner:
        raise UsageError(
            f"{fold.name}: a search needs validation cases; set splits.validation above 0, or nested folds"
        )
    optuna = _optuna_study(study.seed(k, PLACE)) if study.config.search.sampler == "optuna" else None
    tried: list[tuple[float, int, Candidate]] = []
    for t in range(trials):
        trial = optuna.ask() if optuna is not None and t else None
        chooser: Chooser = Drawn(study.seed(k, PLACE, t)) if trial is None else Suggested(trial)
        candidate = propose(first, chooser) if t else first
        loss = _loss(study, candidate, fold, folder / "trials" / str(t + 1), place=(k, PLACE, t))
        if optuna is not None and trial is not None:
            optuna.tell(trial, loss)
        tried.append((loss if math.isfinite(loss) else math.inf, t, candidate))
        if watch is not None:
            watch(t, loss)
    return min(tried, key=lambda one: one[:2])[2]


def _loss(study: Study, candidate: Candidate, fold: Fold, folder: Path, *, place: tuple[int, ...]) -> float:
    """Return the mean loss on the cases that judge a trial, over the inner folds where there are such."""
    losses = []
    for i, one in enumerate(fold.inner or (fold,)):
        judged = one.test if fold.inner else one.validation
        at = (*place, i)
        trained = train_head(study, candidate, one.train, one.validation, folder / f"{i + 1}.safetensors", place=at)
        logits = logits_of(trained, study, judged, candidate.recipe)
        losses.append(mean_loss(logits, study.labels[list(judged)], study.task))
    return float(np.mean(losses))


def _optuna_study(seed: int) -> Any:
    try:
        optuna: Any = importlib.import_module("optuna")
    except ImportError as error:
        raise UsageError("search.sampler: optuna isn't installed; pip install optuna, or use random") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))

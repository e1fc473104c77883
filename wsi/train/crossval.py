"""Fold by fold: a head trained on some patients, stopped and calibrated on others, tested on the rest."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wsi.train.candidate import Candidate, Trained, logits_of, train_head
from wsi.train.checkpoint import Epoch
from wsi.train.probe import fit_probe, mean_rows
from wsi.train.repeatable import repeatable
from wsi.train.seal import Fold
from wsi.train.search import choose
from wsi.train.study import Study
from wsi.train.tasks import Floats

CHECKPOINT = "checkpoint.safetensors"
WatchFold = Callable[[str, Epoch], None]
WatchSearch = Callable[[str, int, float], None]


@dataclass(frozen=True, slots=True)
class Outputs:
    """Logits of a fold's cases: validation `(v, C)` and test `(t, C)`, in the order of the fold."""

    validation: Floats
    test: Floats


@dataclass(frozen=True, slots=True)
class FoldResult:
    """A trained fold, and what its head and the baseline say of the cases that it wasn't trained on."""

    fold: Fold
    chosen: Candidate
    trained: Trained
    head: Outputs
    baseline: Outputs


def run_folds(
    study: Study, folder: Path, *, watch: WatchFold | None = None, watch_search: WatchSearch | None = None
) -> list[FoldResult]:
    """Train all folds, each in a folder of its own; those that are done are read from their checkpoints.

    Args:
        folder: of the run; fold k (from 1) is kept in folds/<k>.
        watch: is told the name of a fold and each of its epochs.
        watch_search: is told the name of a fold, the number of a trial and its loss.
    """
    rows = mean_rows(study.cases.read, len(study.cohort))
    results = []
    for k, fold in enumerate(study.splits.folds):
        at = folder / "folds" / str(k + 1)
        told = None if watch_search is None else _about(watch_search, fold.name)
        chosen = choose(study, k, fold, at, watch=told)
        trained = train_head(
            study,
            chosen,
            fold.train,
            fold.validation,
            at / CHECKPOINT,
            place=(k,),
            watch=None if watch is None else _epochs(watch, fold.name),
        )
        heard = [logits_of(trained, study, places, chosen.recipe) for places in (fold.validation, fold.test)]
        results.append(FoldResult(fold, chosen, trained, Outputs(*heard), _baseline(study, fold, trained, rows)))
    return results


def _epochs(watch: WatchFold, name: str) -> Callable[[Epoch], None]:
    return lambda epoch: watch(name, epoch)


def _about(watch: WatchSearch, name: str) -> Callable[[int, float], None]:
    return lambda trial, loss: watch(name, trial, loss)


def _baseline(study: Study, fold: Fold, trained: Trained, rows: Floats) -> Outputs:
    with repeatable(next(trained.head.parameters()).device, threads=1):
        probe = fit_probe(rows, study.labels, trained.task, train=fold.train, validation=fold.validation)
        return Outputs(*(probe(rows[list(places)]) for places in (fold.validation, fold.test)))

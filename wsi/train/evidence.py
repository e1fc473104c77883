"""Does a model still score when its evidence is taken away? Then it never needed it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi.errors import UsageError, did_you_mean
from wsi.evaluate import Figure, auc_interval
from wsi.train.labels import Target

SHARES = (0.1, 0.5, 0.9)
EXCHANGED = 0.25
DONORS = 8
STILL = 0.05
"""A model that loses less than this of its AUC without 90 % of its top tiles reads what all tiles have."""
WARN_ABOVE = 0.65
Floats = NDArray[np.float64]
Bag = NDArray[np.float32]
Read = Callable[[Bag], tuple[Floats, Floats]]
"""A model: from a bag `(N, D)` to a score a class `(K,)`, higher is more likely, and attention `(N,)`."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One way to take the evidence away, and how well the model then tells one class from the rest."""

    what: str
    target: str
    figure: Figure
    warning: str = ""


def try_evidence(
    bag_of: Callable[[int], Bag],
    read: Read,
    labels: Sequence[int],
    *,
    patients: Sequence[str],
    classes: Sequence[str],
    seed: int = 0,
) -> list[Trial]:
    """Score every case as it is, without tiles, and with the tiles of others.

    Args:
        bag_of: features `(N, D)` of a case.
        read: the model.
        labels: the number of each case's class, of two or more `classes`; two are judged by the second.
        patients: of each case; best of cases the model wasn't trained on.

    Returns:
        for each class: as it is; without the 10, 50 and 90 % of tiles with the most attention, and without as many
        at random; with the top 25 % exchanged for those of a case of another class; with all tiles drawn from other
        cases' bags, so that only the size of the bag is its own.
    """
    known = np.asarray(labels, np.int64)
    rng = np.random.default_rng(seed)
    scores: dict[str, list[Floats]] = {}
    for case in range(len(known)):
        for what, bag in _variants(bag_of, read, known, case, rng):
            scores.setdefault(what, []).append(read(bag)[0])
    found: list[Trial] = []
    for at in range(1, 2) if len(classes) == 2 else range(len(classes)):
        figures = {
            what: auc_interval((known == at).astype(int), np.array(values)[:, at], patients=list(patients))
            for what, values in scores.items()
        }
        found += [Trial(what, classes[at], figure, _warning(what, figures)) for what, figure in figures.items()]
    return found


def class_order(target: Target, names: Sequence[str], *, positive: int) -> list[int]:
    """Return the places of a target's classes among the classes `names` of a model.

    By name, whatever its case; two classes of two other names are the negative and the positive one.

    Raises:
        UsageError: a class that the model doesn't know, or a target without classes.
    """
    if target.kind not in ("binary", "multiclass", "ordinal"):
        raise UsageError(f"target {target.name} is {target.kind}; evidence is taken away from models of classes only")
    places = {name.casefold(): at for at, name in enumerate(names)}
    unknown = [name for name in target.classes if name.casefold() not in places]
    if not unknown:
        return [places[name.casefold()] for name in target.classes]
    if len(target.classes) == len(names) == 2:
        return [1 - positive, positive]
    raise UsageError(
        f"target {target.name}: the model has no class {unknown[0]!r}, it knows {', '.join(names) or 'no classes'}."
        f"{did_you_mean(unknown[0], names)}"
    )


def _variants(
    bag_of: Callable[[int], Bag], read: Read, labels: NDArray[np.int64], case: int, rng: np.random.Generator
) -> list[tuple[str, Bag]]:
    bag = bag_of(case)
    order = np.argsort(-read(bag)[1], kind="stable")
    mixed = rng.permutation(len(bag))
    found = [(AS_IT_IS, bag)]
    for share in SHARES:
        lost = min(max(1, round(share * len(bag))), len(bag) - 1)
        found.append((f"without its top {share:.0%} of tiles", bag[np.sort(order[lost:])]))
        found.append((f"without {share:.0%} of tiles at random", bag[np.sort(mixed[lost:])]))
    others = np.flatnonzero(labels != labels[case])
    if len(others):
        donor = bag_of(int(rng.choice(others)))
        found.append((EXCHANGED_TILES, _exchanged(bag, order, donor, np.argsort(-read(donor)[1], kind="stable"))))
    found.append((OTHERS_TILES, _drawn(bag_of, len(labels), len(bag), rng)))
    return found


AS_IT_IS = "as it is"
EXCHANGED_TILES = f"with its top {EXCHANGED:.0%} of tiles exchanged with another class"
OTHERS_TILES = "with all tiles drawn from other bags"


def _exchanged(bag: Bag, order: NDArray[np.int64], donor: Bag, its: NDArray[np.int64]) -> Bag:
    count = max(1, round(EXCHANGED * len(bag)))
    given = np.resize(its[:count], count)  # a smaller donor gives its best tiles again
    return np.concatenate([bag[np.sort(order[count:])], donor[given]])


def _drawn(bag_of: Callable[[int], Bag], cases: int, size: int, rng: np.random.Generator) -> Bag:
    """Return `size` tiles drawn from the bags of a few cases, each case as likely."""
    parts = np.bincount(rng.integers(DONORS, size=size), minlength=DONORS)
    drawn = []
    for count in parts[parts > 0]:
        donor = bag_of(int(rng.integers(cases)))
        drawn.append(donor[rng.integers(len(donor), size=count)])
    return np.concatenate(drawn)


def _warning(what: str, figures: dict[str, Figure]) -> str:
    whole, left = figures[AS_IT_IS].value, figures[what].value
    low = figures[what].low
    if whole is None or left is None or left < WARN_ABOVE or low is None or low <= 0.5:
        return ""
    if what == OTHERS_TILES:
        return "the size of the bag tells the class"
    if what == f"without its top {SHARES[-1]:.0%} of tiles" and left > whole - STILL:
        return "nearly all tiles tell the class: stain, scanner or background may, not a lesion"
    return ""

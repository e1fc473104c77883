"""Deal groups of cases to parts of given shares so that each part resembles the whole."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from wsi.train.cohort import Cohort
from wsi.train.labels import Target

Group = tuple[int, ...]
"""Cases that stay together: a patient's, or a site's."""
BINS = 4
"""Measured values are stratified by quarters."""
MAX_MOVES = 500


def strata(cohort: Cohort) -> NDArray[np.float64]:
    """Return `(cases, S)` of 0 and 1: what of each case should be as frequent in every part as in the whole.

    The first column is all ones (the size of a part); then each target's classes, findings, quarters of what was
    measured, events and times, and what is missing.
    """
    columns = [np.ones((len(cohort), 1))]
    columns += [_of_target(target, cohort.labels(target.name)) for target in cohort.targets]
    return np.concatenate(columns, axis=1)


def _of_target(target: Target, labels: NDArray[np.float64]) -> NDArray[np.float64]:
    missing = np.isnan(labels)
    first = labels[:, 0]
    if target.kind == "multilabel":
        shown = [labels == 1, missing]
    elif target.kind in ("regression", "survival"):
        known = first[~missing[:, 0]]
        cuts = np.quantile(known, np.arange(1, BINS) / BINS) if known.size else np.zeros(BINS - 1)
        shown = [_one_hot(np.searchsorted(cuts, first, side="right"), BINS, missing[:, 0]), missing[:, :1]]
        if target.kind == "survival":
            shown.append(labels[:, 1:] == 1)
    else:
        shown = [_one_hot(np.where(missing[:, 0], 0, first), len(target.classes), missing[:, 0]), missing]
    return np.concatenate(shown, axis=1).astype(np.float64)


def _one_hot(numbers: NDArray[np.number], count: int, missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    hot: NDArray[np.bool_] = np.equal(numbers[:, None], np.arange(count)) & ~missing[:, None]
    return hot


def deal(
    groups: Sequence[Group], shares: Sequence[float], wanted: NDArray[np.float64], *, rng: np.random.Generator
) -> list[list[Group]]:
    """Deal whole groups to `len(shares)` parts; the parts' shares of every stratum come near to `shares`.

    Greedy, the largest groups first, each to the part where `sum (count / total)² / share` over the strata grows
    least; then groups move or change places as long as that helps. Groups of one size are dealt in random order.

    Args:
        groups: cases that stay together.
        shares: of the parts; they sum to 1.
        wanted: `(cases, S)` from `strata`.
        rng: decides between equals.
    """
    counts = np.array([wanted[list(group)].sum(axis=0) for group in groups]).reshape(len(groups), -1)
    totals = np.maximum(counts.sum(axis=0), 1.0)
    weighed = counts / totals  # (groups, S): each group's share of each stratum
    inverse = 1.0 / np.asarray(shares)
    order = rng.permutation(len(groups))
    order = order[np.argsort(-counts[order, 0], kind="stable")]
    held = np.zeros((len(shares), weighed.shape[1]))
    place = np.zeros(len(groups), np.int64)
    for at in order:
        grown = ((held + weighed[at]) ** 2 - held**2).sum(axis=1) * inverse
        place[at] = int(np.argmin(np.round(grown, 12)))
        held[place[at]] += weighed[at]
    _fill_empty(place, counts[:, 0], len(shares))
    _improve(place, weighed, inverse)
    return [[group for group, at in zip(groups, place, strict=True) if at == part] for part in range(len(shares))]


def _fill_empty(place: NDArray[np.int64], sizes: NDArray[np.float64], parts: int) -> None:
    """Give every part a group when there are enough: the smallest one of the part that has most."""
    for part in range(parts):
        held = np.bincount(place, minlength=parts)
        if held[part] == 0 and held.max() > 1:
            giving = np.flatnonzero(place == held.argmax())
            place[giving[np.argmin(sizes[giving])]] = part


def _improve(place: NDArray[np.int64], weighed: NDArray[np.float64], inverse: NDArray[np.float64]) -> None:
    """Move single groups to other parts, the best move first, as long as the parts come nearer to their shares."""
    parts, rows = len(inverse), np.arange(len(place))
    held = np.array([weighed[place == part].sum(axis=0) for part in range(parts)])  # (P, S)
    number = np.bincount(place, minlength=parts)
    own = (weighed**2).sum(axis=1)  # (G,)
    for _ in range(min(MAX_MOVES, 4 * len(place))):
        shared = 2 * weighed @ held.T  # (G, P)
        change = (shared + own[:, None]) * inverse  # to join a part
        change -= ((shared[rows, place] - own) * inverse[place])[:, None]  # to leave its own
        change[rows, place] = np.inf
        change[number[place] == 1] = np.inf
        at, new = np.unravel_index(int(np.argmin(np.round(change, 12))), change.shape)
        if change[at, new] > -1e-9:
            return
        held[place[at]] -= weighed[at]
        held[new] += weighed[at]
        number[place[at]] -= 1
        number[new] += 1
        place[at] = new


def flat(groups: Iterable[Group]) -> Group:
    """Return the cases of several groups, ascending."""
    return tuple(sorted(case for group in groups for case in group))

"""Who is trained on, who stops the training, who is tested: by patient, always, and before training."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi.errors import LabelsError, UsageError
from wsi.train.cohort import Cohort
from wsi.train.deal import Group, deal, flat, strata
from wsi.train.seal import Fold, Scheme, Splits, seal


def make_splits(
    cohort: Cohort,
    *,
    scheme: Scheme = "k-fold",
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    site: bool = False,
    validation: float = 0.2,
    holdout: float = 0.2,
    inner: int = 3,
) -> Splits:
    """Split a cohort by patient, stratified by its targets; the same for any order of its rows.

    Args:
        cohort: its cases stand in order of their ids, so that the seed alone decides.
        scheme: k-fold; repeated-k-fold (`repeats` times); nested (`inner` folds inside each); holdout (one fold,
            a share of `holdout` tested); leave-one-out (each patient); leave-site-out (each site).
        site: keep each site wholly on one side too. Howard et al. 2021, site-preserved cross-validation.
        validation: share of what isn't tested that stops the training; 0 for none.

    Raises:
        LabelsError: too few patients or sites for so many folds, or no sites are known.
        UsageError: a number out of its range.
    """
    if not (0 <= validation < 1 and 0 < holdout < 1 and folds >= 2 and repeats >= 1 and inner >= 2):
        raise UsageError("splits need 2 or more folds, and shares of validation and holdout between 0 and 1")
    dealer = _Dealer(
        cohort, strata(cohort), np.random.default_rng(seed), site or scheme == "leave-site-out", validation
    )
    groups = dealer.groups(range(len(cohort)))
    if scheme == "holdout":
        test, rest = dealer.shares(groups, (holdout, 1 - holdout))
        made = [dealer.fold("holdout", rest, test)]
    elif scheme in ("leave-one-out", "leave-site-out"):
        made = [dealer.fold(f"without {dealer.name(group)}", _without(groups, group), [group]) for group in groups]
        _require(groups, 2, dealer)
    elif scheme == "file":
        raise UsageError("splits of a file are read with splits_from_file")
    else:
        times = repeats if scheme == "repeated-k-fold" else 1
        made = [
            fold for time in range(times) for fold in dealer.folds(groups, folds, f"repeat {time + 1}, " * (times > 1))
        ]
        if scheme == "nested":
            made = [dealer.nest(fold, inner) for fold in made]
    return seal(cohort, scheme, made)


@dataclass(frozen=True, slots=True)
class _Dealer:
    """Makes folds of one cohort, in turn from one stream of random numbers."""

    cohort: Cohort
    wanted: NDArray[np.float64]
    rng: np.random.Generator
    by_site: bool
    validation: float

    def groups(self, cases: Sequence[int], *, by_site: bool | None = None) -> list[Group]:
        """Return the cases in groups that stay together, in order of their first case."""
        by_site = self.by_site if by_site is None else by_site
        links: dict[str, list[int]] = defaultdict(list)
        for at in cases:
            case = self.cohort.cases[at]
            if by_site and case.site is None:
                raise LabelsError(f"case {case.id}: no site; every case needs one where sites are kept together")
            links[f"patient {case.patient}"].append(at)
            if by_site:
                links[f"site {case.site}"].append(at)
        return connected(list(links.values()))

    def name(self, group: Group) -> str:
        cases = [self.cohort.cases[at] for at in group]
        return " + ".join(sorted({(case.site or "") if self.by_site else case.patient for case in cases}))

    def shares(self, groups: Sequence[Group], shares: Sequence[float]) -> list[list[Group]]:
        _require(groups, len(shares), self)
        return deal(groups, shares, self.wanted, rng=self.rng)

    def folds(self, groups: Sequence[Group], count: int, prefix: str = "") -> Iterator[Fold]:
        parts = self.shares(groups, [1 / count] * count)
        for at, test in enumerate(parts):
            rest = [group for other, part in enumerate(parts) if other != at for group in part]
            yield self.fold(f"{prefix}fold {at + 1}", rest, test)

    def fold(self, name: str, rest: Sequence[Group], test: Sequence[Group]) -> Fold:
        """Set the validation cases apart: whole sites where those are kept and there are enough, else patients."""
        rest = sorted(rest)
        if self.by_site and len(rest) < 3:
            rest = self.groups(flat(rest), by_site=False)
        if self.validation == 0 or len(rest) < 2:
            return Fold(name, flat(rest), (), flat(test))
        stop, train = self.shares(rest, (self.validation, 1 - self.validation))
        return Fold(name, flat(train), flat(stop), flat(test))

    def nest(self, fold: Fold, count: int) -> Fold:
        groups = self.groups(flat([fold.train, fold.validation]))
        return Fold(fold.name, fold.train, fold.validation, fold.test, tuple(self.folds(groups, count, "inner ")))


def connected(links: Sequence[Sequence[int]]) -> list[Group]:
    """Return the groups of numbers that chains of links join, each ascending, in order of their first."""
    root: dict[int, int] = {}

    def find(one: int) -> int:
        while root.setdefault(one, one) != one:
            root[one] = root[root[one]]
            one = root[one]
        return one

    for link in links:
        for one in link:
            low, high = sorted((find(link[0]), find(one)))
            root[high] = low
    found: dict[int, list[int]] = defaultdict(list)
    for one in sorted(root):
        found[find(one)].append(one)
    return [tuple(found[key]) for key in sorted(found)]


def _without(groups: Sequence[Group], group: Group) -> list[Group]:
    return [other for other in groups if other != group]


def _require(groups: Sequence[Group], count: int, dealer: _Dealer) -> None:
    if len(groups) < count:
        what = "groups of sites" if dealer.by_site else "patients"
        raise LabelsError(f"{len(groups)} {what} can't make {count} parts; ask for fewer folds or add cases")

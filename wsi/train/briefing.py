"""What a person should read before a model is trained: who is in the cohort, how it was split, what looks wrong."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from wsi.table import SHOWN
from wsi.train.cohort import GRADES_BY_NAME, Case, Cohort, told
from wsi.train.labels import Target
from wsi.train.seal import SIDES, Fold, Splits
from wsi.train.sections import Section, as_markdown, as_text

FEW_PATIENTS = 5
"""A class of fewer patients can't be learnt and tested."""
MANY_MISSING = 0.2
LARGE_PATIENT = 0.2
CONFOUNDED = 0.3
"""Cramér's V of site and label from which on a model may learn the site; with p under 0.01."""


@dataclass(frozen=True, slots=True)
class Briefing:
    """The report before training; `str()` is its text for a terminal."""

    sections: tuple[Section, ...]
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """Return the report for a terminal, columns aligned."""
        return as_text(self.sections)

    def markdown(self) -> str:
        """Return the report as Markdown."""
        return as_markdown(self.sections)


def brief(cohort: Cohort, splits: Splits | None = None) -> Briefing:
    """Describe a cohort and, when given, its folds."""
    warnings = tuple(_warnings(cohort, splits))
    sections = [
        Section("Warnings", (), warnings or ("none",)),
        _overview(cohort),
        *(_of_target(cohort, target) for target in cohort.targets),
        *([_bags(cohort)] if cohort.tiles else []),
        *([_sites(cohort)] if len(_sites_of(cohort.cases)) > 1 else []),
        *([_folds(cohort, splits)] if splits else []),
        Section(
            "Findings", (), tuple(f"{code}: {text}" for code, text in told(cohort.findings, most=SHOWN)) or ("none",)
        ),
    ]
    return Briefing(tuple(sections), warnings)


def _patients(cases: Iterable[Case]) -> int:
    return len({case.patient for case in cases})


def _sites_of(cases: Iterable[Case]) -> list[str]:
    return sorted({case.site for case in cases if case.site is not None})


def _overview(cohort: Cohort) -> Section:
    slides = len({slide for case in cohort.cases for slide in case.slides})
    rows = (
        ("cases", "slides", "patients", "sites"),
        (str(len(cohort)), str(slides), str(_patients(cohort.cases)), str(len(_sites_of(cohort.cases)) or "unknown")),
    )
    return Section("Cohort", rows)


def _classes_of(target: Target) -> tuple[str, ...]:
    return ("censored", "event") if target.kind == "survival" else target.classes


def _members(cohort: Cohort, target: Target, cases: Sequence[int]) -> dict[str, list[Case]]:
    """Return the cases of each class (finding, or event); one without a label is in none."""
    labels = cohort.labels(target.name)
    found: dict[str, list[Case]] = {name: [] for name in _classes_of(target)}
    for at in cases:
        if target.kind == "multilabel":
            names = [name for name, value in zip(target.classes, labels[at], strict=True) if value == 1]
        elif target.kind == "regression":
            names = []
        else:
            value = labels[at, -1]
            names = [] if np.isnan(value) else [_classes_of(target)[int(value)]]
        for name in names:
            found[name].append(cohort.cases[at])
    return found


def _of_target(cohort: Cohort, target: Target) -> Section:
    labels = cohort.labels(target.name)
    missing = int(np.isnan(labels).any(axis=1).sum())
    lines = [f"missing: {missing} of {len(cohort)}"] if missing else []
    members = _members(cohort, target, range(len(cohort)))
    rows = [("class", "cases", "patients")]
    rows += [(name, str(len(cases)), str(_patients(cases))) for name, cases in members.items()]
    if target.kind in ("regression", "survival"):
        known = labels[~np.isnan(labels).any(axis=1), 0]
        what = "times" if target.kind == "survival" else "values"
        lines.insert(0, f"{what}: {_range(known)}")
    return Section(f"Target {target.name} ({target.kind})", tuple(rows) if members else (), tuple(lines))


def _range(values: NDArray[np.float64]) -> str:
    if not len(values):
        return "none"
    return f"{values.min():g} to {values.max():g}, median {np.median(values):g}"


def _tiles_of(cohort: Cohort, case: Case) -> int:
    return sum(cohort.tiles.get(slide, 0) for slide in case.slides)


def _bags(cohort: Cohort) -> Section:
    sizes = {case.id: _tiles_of(cohort, case) for case in cohort.cases}
    ordered = sorted(sizes, key=lambda name: (sizes[name], name))
    low, high = ordered[0], ordered[-1]
    rows = (
        ("smallest", "median", "largest", "all tiles"),
        (
            f"{sizes[low]} ({low})",
            f"{np.median(list(sizes.values())):g}",
            f"{sizes[high]} ({high})",
            str(sum(sizes.values())),
        ),
    )
    return Section("Bags (tiles a case)", rows)


def _sites(cohort: Cohort) -> Section:
    target = cohort.targets[0]
    names = _classes_of(target)
    rows = [("site", "cases", "patients", *(f"{target.name}={name}" for name in names))]
    for site in _sites_of(cohort.cases):
        cases = [at for at, case in enumerate(cohort.cases) if case.site == site]
        members = _members(cohort, target, cases)
        counts = [str(_patients(members[name])) for name in names]
        rows.append((site, str(len(cases)), str(_patients(cohort.cases[at] for at in cases)), *counts))
    return Section("Sites (patients a class)", tuple(rows))


def _folds(cohort: Cohort, splits: Splits) -> Section:
    target = cohort.targets[0]
    names = _classes_of(target)
    rows = [("fold", "side", "cases", "patients", *(f"{target.name}={name}" for name in names))]
    for fold in splits.folds:
        for side in SIDES:
            cases: tuple[int, ...] = getattr(fold, side)
            members = _members(cohort, target, cases)
            counts = [str(_patients(members[name])) for name in names]
            rows.append((fold.name, side, str(len(cases)), str(_patients(cohort.cases[at] for at in cases)), *counts))
    inner = sum(len(fold.inner) for fold in splits.folds)
    lines = [f"scheme {splits.scheme}, sha256 {splits.digest}"] + ([f"{inner} inner folds"] if inner else [])
    return Section("Folds (patients a class)", tuple(rows), tuple(lines))


def _warnings(cohort: Cohort, splits: Splits | None) -> Iterator[str]:
    for target in cohort.targets:
        yield from _warn_target(cohort, target)
        yield from _warn_site(cohort, target)
    yield from (finding.message for finding in cohort.findings if finding.code == GRADES_BY_NAME)
    slides = Counter(case.patient for case in cohort.cases)
    patient, count = slides.most_common(1)[0] if slides else ("", 0)
    if count > 1 and count > LARGE_PATIENT * len(cohort):
        yield f"patient {patient} has {count} of {len(cohort)} cases"
    differing = sum("their labels differ" in finding.message for finding in cohort.findings)
    if differing:
        yield f"{differing} copied slides have another label than their copy; see Findings"
    if splits:
        yield from _warn_folds(cohort, splits)


def _warn_target(cohort: Cohort, target: Target) -> Iterator[str]:
    for name, cases in _members(cohort, target, range(len(cohort))).items():
        if _patients(cases) < FEW_PATIENTS:
            count = _patients(cases)
            yield f"{target.name}: {name} has {count} patient{'s' * (count != 1)}; fewer than {FEW_PATIENTS} can't be tested"
    missing = float(np.isnan(cohort.labels(target.name)).any(axis=1).mean()) if len(cohort) else 0.0
    if missing > MANY_MISSING:
        yield f"{target.name}: {missing:.0%} of the cases have no label"


def _warn_site(cohort: Cohort, target: Target) -> Iterator[str]:
    """Warn where a site tells the label; each patient counts once in a site and class."""
    sites, names = _sites_of(cohort.cases), _classes_of(target)
    if len(sites) < 2 or len(names) < 2 or target.kind == "multilabel":
        return
    members = _members(cohort, target, range(len(cohort)))
    counts = np.array([[_patients(c for c in members[name] if c.site == site) for name in names] for site in sites])
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    if min(counts.shape) < 2:
        return
    tested = scipy.stats.chi2_contingency(counts, correction=False)
    strength = float(np.sqrt(tested.statistic / (counts.sum() * (min(counts.shape) - 1))))
    pure = int(((counts > 0).sum(axis=1) == 1).sum())
    if strength >= CONFOUNDED and tested.pvalue < 0.01:
        yield (
            f"{target.name}: the site tells the label (Cramér's V {strength:.2f}; {pure} of {len(counts)} sites have one "
            "class only); a model can learn the site instead: keep sites together and test on other sites"
        )


def _warn_folds(cohort: Cohort, splits: Splits) -> Iterator[str]:
    placed = {at for fold in splits.folds for side in SIDES for at in getattr(fold, side)}
    if len(placed) < len(cohort):
        left = [case.id for at, case in enumerate(cohort.cases) if at not in placed]
        yield f"{len(left)} cases are in no fold: {', '.join(left[:SHOWN])}{', …' if len(left) > SHOWN else ''}"
    for target in cohort.targets:
        holes = [hole for fold in splits.folds for hole in _holes(cohort, target, fold)]
        if holes and splits.scheme not in ("leave-one-out", "leave-site-out"):
            rest = f"; and {len(holes) - SHOWN} more" if len(holes) > SHOWN else ""
            yield f"{target.name}: {'; '.join(holes[:SHOWN])}{rest}"


def _holes(cohort: Cohort, target: Target, fold: Fold) -> Iterator[str]:
    for side in SIDES:
        cases = getattr(fold, side)
        lacking = [name for name, found in _members(cohort, target, cases).items() if not found]
        if cases and lacking:
            yield f"{fold.name} {side} has no {', '.join(lacking)}"

"""Figures of masks over a study: the mean over images, with an interval from draws of patients."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wsi.evaluate.binary import Patients, patient_index
from wsi.evaluate.bootstrap import bootstrap_interval
from wsi.evaluate.figure import Figure
from wsi.evaluate.masks import MaskScores


@dataclass(frozen=True, slots=True)
class MaskStudy:
    """The scores of one structure over images; patients: whose image each is."""

    structure: str
    scores: Sequence[MaskScores]
    patients: Sequence[str]
    unit: str
    """Of distances: mm or px."""
    tolerance: float
    per_ml: float = 1000.0
    """mm³ in the unit that amounts are told in."""

    def figures(self, *, rounds: int = 2000, seed: int = 0) -> list[Figure]:
        """Return Dice, surface Dice, HD95 and the error of the amount; what isn't defined of an image is left out."""
        wanted: list[tuple[str, list[float | None]]] = [
            ("Dice", [one.dice for one in self.scores]),
            (f"surface Dice at {self.tolerance:g} {self.unit}", [one.surface_dice for one in self.scores]),
            (f"HD95 ({self.unit})", [one.far for one in self.scores]),
        ]
        if self.unit == "mm":
            errors: list[float | None] = [one.error / self.per_ml for one in self.scores]
            wanted += [
                ("volume error (ml)", errors),
                ("absolute volume error (ml)", [None if e is None else abs(e) for e in errors]),
            ]
        else:
            wanted += [
                ("area error (share)", [one.error / one.reference if one.reference else None for one in self.scores])
            ]
        return [
            mean_figure(f"{name}, {self.structure}", values, self.patients, rounds=rounds, seed=seed)
            for name, values in wanted
        ]


def mean_figure(
    name: str, values: Sequence[float | None], patients: Patients, *, rounds: int = 2000, seed: int = 0
) -> Figure:
    """Return the mean of what is known, with an interval from draws of patients; `reason` says how many are left out."""
    numbers = np.array([np.nan if value is None else value for value in values], np.float64)
    known = ~np.isnan(numbers)

    def measure(found: NDArray[np.float64]) -> Figure:
        if not len(found):
            return Figure.not_estimable(name, "no image has a value", n=0)
        return Figure(name, float(found.mean()), n=len(found))

    owner = patient_index(patients, len(numbers))[known]
    figure = bootstrap_interval(measure, [numbers[known]], patients=owner, rounds=rounds, seed=seed)
    left = len(numbers) - len(owner)
    if figure.value is None or not left:
        return figure
    return replace(figure, reason="; ".join(filter(None, (figure.reason, f"images without a value: {left}"))))

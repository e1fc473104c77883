"""What trivial traits of pictures tell of the label: as the files are, and as the network sees them."""

from collections.abc import Iterable

import numpy as np

from wsi.evaluate import Figure
from wsi.train.figures import Line
from wsi.train.labels import Target
from wsi.train.picture_run import PictureRun
from wsi.train.pictures import Picture, read_picture
from wsi.train.shortcuts import probe_traits
from wsi.train.tasks import Floats
from wsi.train.traits import picture_traits

BEFORE, AFTER = "as the files are", "after preprocessing"


def audit_pictures(run: PictureRun) -> list[Line]:
    """Return how well each trait alone tells the first target, before and after preprocessing, by the same folds' patients.

    See `wsi.train.shortcuts.probe_traits`; sizes of pictures and files are no traits of what the network sees.
    """
    cohort, asked = run.plan.cohort, run.plan.config.asked[0]
    first = cohort.target(asked.column)
    files = (read_picture(cohort.files[case.slides[0]].path) for case in cohort.cases)
    seen = (Picture(run.cases([at])[0], 0) for at in range(len(cohort)))
    found = []
    for when, pictures in ((BEFORE, files), (AFTER, seen)):
        for trait, values in _columns(pictures).items():
            if when == AFTER and not trait.endswith("color"):
                continue
            found += [Line(f"{trait} alone, {when}", one, of_model=False) for one in _probed(run, first, trait, values)]
    return found


def _columns(pictures: Iterable[Picture]) -> dict[str, Floats]:
    """Return each trait as `(cases, values)`; of the pictures, which may be of many million px, one is held at a time."""
    told = list(map(picture_traits, pictures))
    return {name: np.array([one[name] for one in told]) for name in told[0]}


def _probed(run: PictureRun, first: Target, trait: str, values: Floats) -> list[Figure]:
    probes = probe_traits(run.plan.cohort, {trait: values}, seed=run.plan.config.seed)
    names = {first.name, *(f"{first.name}={name}" for name in first.classes)}
    return [
        one.figure.called(f"AUC of {one.target}" if one.target != first.name else "AUC")
        for one in probes
        if one.trait == trait and one.target in names
    ]

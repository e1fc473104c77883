"""The trivial traits of a whole cohort, from pictures, from the OUT of a run, or from features alone."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi.errors import LabelsError
from wsi.table import read_table
from wsi.train.cohort import Cohort
from wsi.train.gather import Ask, assemble
from wsi.train.locate import JOURNAL, Located, locate
from wsi.train.names import Names
from wsi.train.pictures import SUFFIXES, locate_pictures
from wsi.train.rows import archive_table
from wsi.train.traits import TraitReader, bag_traits

Floats = NDArray[np.float64]
Traits = dict[str, tuple[float, ...]]


def trivial_traits(labels: Path | None, folder: Path, ask: Ask) -> tuple[Cohort, dict[str, Floats]]:
    """Return a cohort and its traits, `(cases, values)` by name; NaN where a case lacks one.

    Args:
        labels: CSV as for training; None: the `y` of an .npz.
        folder: pictures; the OUT of a run (thumbnails and features); or features, as for training.
        ask: one bag a slide.

    Raises:
        LabelsError: the labels don't fit the pictures or themselves, or neither pictures nor features are there.
    """
    table = archive_table(folder) if labels is None else read_table(labels)
    pictures = _pictures(folder)
    if pictures is None:
        cohort = assemble(table, locate(folder), ask)
        traits = {slide: bag_traits(file) for slide, file in cohort.files.items()}
        return cohort, _columns(cohort, traits)
    reader = TraitReader()
    cohort = assemble(table, pictures, ask, look=reader)
    traits = reader.traits
    if (folder / JOURNAL).is_file():
        traits = _with_bags(cohort, traits, folder)
    return cohort, _columns(cohort, traits)


def _pictures(folder: Path) -> Located | None:
    """Return the pictures in `folder`; None where there are only features."""
    if not folder.is_dir() or not (_holds(folder, SUFFIXES) or not _holds(folder, (".h5",))):
        return None
    try:
        return locate_pictures(folder)
    except LabelsError:
        if (folder / JOURNAL).is_file() and _holds(folder, (".h5",)):
            return None
        raise


def _holds(folder: Path, suffixes: Sequence[str]) -> bool:
    return any(path.suffix.lower() in suffixes for path in folder.rglob("*"))


def _with_bags(cohort: Cohort, traits: dict[str, Traits], out: Path) -> dict[str, Traits]:
    """Add what the features of a run tell; a thumbnail's own size and bytes are no traits of the slide."""
    names = Names(locate(out).bags)
    found: dict[str, Traits] = {}
    for slide, file in cohort.files.items():
        bags = names.find(file.name)
        kept = {name: values for name, values in traits[slide].items() if name.endswith("color")}
        found[slide] = kept | (bag_traits(bags[0]) if len(bags) == 1 else {})
    return found


def _columns(cohort: Cohort, traits: dict[str, Traits]) -> dict[str, Floats]:
    """Return each trait as `(cases, values)`; of a case with several slides the first one's."""
    widths = {name: len(values) for told in traits.values() for name, values in told.items()}
    rows = [traits[case.slides[0]] for case in cohort.cases]
    lacking = {name: (np.nan,) * width for name, width in widths.items()}
    return {name: np.array([row.get(name, lacking[name]) for row in rows]) for name in widths}

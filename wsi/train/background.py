"""Tiles that speak for nothing: blood, clot, pen, glass; what a linear head learns to pass over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi.encode import Features, require_same_encoder
from wsi.errors import UsageError
from wsi.train.cohort import Cohort
from wsi.train.locate import BagFile, locate, read_bag
from wsi.train.names import Names

TILES = 64
"""Most tiles that are taken of a bag, evenly spaced: neighbors look alike."""


@dataclass(frozen=True, slots=True)
class Background:
    """Bags of background tiles. owners: the cases whose slide has a bag's name; such a bag is made from that slide."""

    bags: tuple[BagFile, ...] = ()
    owners: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def for_cases(self, train: Sequence[int]) -> tuple[BagFile, ...]:
        """Return the bags that training on these cases may see: none that was made from another case's slide."""
        known = set(train)
        return tuple(bag for bag in self.bags if known.issuperset(self.owners.get(bag.name, ())))


def find_background(folder: Path | None, cohort: Cohort) -> Background:
    """Return the background bags of a features folder or archive; none for None.

    Raises:
        LabelsError: there are no features.
    """
    if folder is None:
        return Background()
    cases = {cohort.files[slide]: at for at, case in enumerate(cohort.cases) for slide in case.slides}
    bags, slides = locate(folder).bags, Names(cases)
    return Background(bags, {bag.name: tuple(cases[file] for file in slides.find(bag.name)) for bag in bags})


def background_tiles(bags: Sequence[BagFile], *, header: Features) -> NDArray[np.float32]:
    """Return some tiles of each bag, `(n, D)`.

    Args:
        header: of the cases' features; see `wsi.train.bags.Bags.header`.

    Raises:
        ArtifactError: a file is damaged. EncoderMismatchError: it comes from another encoder than the cases.
        UsageError: there is no tile.
    """
    found = []
    for bag in bags:
        features = read_bag(bag)
        require_same_encoder(header, features)
        found.append(some_tiles(features.features))
    if not sum(map(len, found)):
        raise UsageError("linear.background: no tile is left that isn't of a held-out case; give others, or none")
    return np.concatenate(found)


def some_tiles(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return at most `TILES` of a bag's tiles `(N, D)`, evenly spaced."""
    if len(features) <= TILES:
        return features
    places = np.linspace(0, len(features) - 1, TILES).round().astype(int)
    found: NDArray[np.float32] = features[places]
    return found

"""The features of a case when they are asked for, and no more of them in memory than agreed."""

from collections import OrderedDict
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wsi.encode import EncoderIdentity, Features, combine, require_same_encoder
from wsi.train.cohort import Cohort
from wsi.train.locate import read_bag

CACHE_BYTES = 2 << 30


class Bags:
    """The bags of a cohort by the number of the case; the last ones used stay in memory up to `cache_bytes`.

    One process at a time: a worker makes its own.
    """

    def __init__(self, cohort: Cohort, *, cache_bytes: int = CACHE_BYTES) -> None:
        self.cohort = cohort
        self.cache_bytes = cache_bytes
        self._held: OrderedDict[int, Features] = OrderedDict()
        self._bytes = 0
        self._first: Features | None = None

    def __len__(self) -> int:
        return len(self.cohort.cases)

    @property
    def held_bytes(self) -> int:
        """Bytes of features and coords in memory now."""
        return self._bytes

    @property
    def dim(self) -> int:
        """Width of a feature."""
        return int(self.header.features.shape[1])

    @property
    def identity(self) -> EncoderIdentity | None:
        """The encoder that all bags come from; None in files of other tools."""
        return self.header.identity

    @property
    def header(self) -> Features:
        """All that bags share, with no tile in it."""
        if self._first is None:
            self.read(0)
        assert self._first is not None
        return self._first

    def __getitem__(self, at: int) -> NDArray[np.float32]:
        """Return `(N, D)` float32, the tiles of case `at`: those of its slides in order."""
        return self.read(at).features

    def read(self, at: int) -> Features:
        """Return the whole bag of case `at`, with coords and attributes.

        Raises:
            ArtifactError: a file is damaged or changed.
            EncoderMismatchError: it comes from another encoder than the bags before it.
        """
        if at in self._held:
            self._held.move_to_end(at)
            return self._held[at]
        bag = combine([read_bag(self.cohort.files[slide]) for slide in self.cohort.cases[at].slides])
        if self._first is None:
            self._first = replace(bag, coords=bag.coords[:0], features=bag.features[:0])
        require_same_encoder(self._first, bag)
        self._keep(at, bag)
        return bag

    def _keep(self, at: int, bag: Features) -> None:
        size = _bytes_of(bag)
        if size > self.cache_bytes:
            return
        self._held[at] = bag
        self._bytes += size
        while self._bytes > self.cache_bytes:
            _, old = self._held.popitem(last=False)
            self._bytes -= _bytes_of(old)


def _bytes_of(bag: Features) -> int:
    return bag.features.nbytes + bag.coords.nbytes

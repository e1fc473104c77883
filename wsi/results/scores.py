"""scores.h5: what the model says of each tile."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi.errors import ArtifactError
from wsi.hdf5 import read_arrays, whole, write_arrays


@dataclass(frozen=True, slots=True)
class Scores:
    """Per tile: where it lies, how much it weighed, and what it looks like by itself.

    coords `(N, 2)` int32 level-0 top-left; attention `(N,)` float32 that sums to 1, no probability;
    score `(N,)` float32, calibrated probability of the positive class, or the value of a model without classes, for the
    tile alone.
    """

    coords: NDArray[np.int32]
    attention: NDArray[np.float32]
    score: NDArray[np.float32]

    def __post_init__(self) -> None:
        n = len(self.coords)
        if self.coords.shape != (n, 2) or self.attention.shape != (n,) or self.score.shape != (n,):
            raise ValueError(f"{self.coords.shape}, {self.attention.shape}, {self.score.shape} don't agree")
        if n and not (np.isfinite(self.attention).all() and np.isfinite(self.score).all()):
            raise ValueError("attention and score must be finite")


def write_scores(path: Path, scores: Scores) -> str:
    """Publish scores.h5 and return its sha256."""
    arrays = {
        "coords": whole(scores.coords),
        "attention": whole(scores.attention),
        "score": whole(scores.score),
    }
    return write_arrays(path, arrays, {"format": "wsi-scores/1"})


def read_scores(path: Path) -> Scores:
    """Read scores.h5; ArtifactError when it is damaged or not one."""
    with read_arrays(path) as file:
        if file.attrs.get("format") != "wsi-scores/1":
            raise ArtifactError(f"{path}: not a scores file of this tool")
        return Scores(
            np.asarray(file["coords"][:], np.int32),
            np.asarray(file["attention"][:], np.float32),
            np.asarray(file["score"][:], np.float32),
        )

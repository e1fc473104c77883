"""coords.h5 of an image that is read whole: where its windows lie."""

from pathlib import Path

import numpy as np

from wsi.errors import ArtifactError
from wsi.hdf5 import read_arrays, whole, write_arrays
from wsi.windows import Windows

FORMAT = "wsi-windows/1"


def write_windows(path: Path, plan: Windows) -> str:
    """Publish windows as coords.h5 and return its sha256: corners `(N, axes)`, and shape and window `(axes,)`."""
    arrays = {
        "corners": whole(plan.corners),
        "shape": whole(np.array(plan.shape, np.int64)),
        "window": whole(np.array(plan.window, np.int64)),
    }
    return write_arrays(path, arrays, {"format": FORMAT})


def read_windows(path: Path) -> Windows:
    """Read coords.h5; ArtifactError when it is damaged or not ours."""
    with read_arrays(path) as file:
        if file.attrs.get("format") != FORMAT:
            raise ArtifactError(f"{path}: not the windows of an image; run it again")
        shape, window = (tuple(int(side) for side in file[name][:]) for name in ("shape", "window"))
        padded = tuple(max(pair) for pair in zip(shape, window, strict=True))
        return Windows(shape, padded, window, np.asarray(file["corners"][:], np.int64))

"""Features on their way to features.h5: in a file, so that memory doesn't grow with the slide."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi.publish import TEMPORARY, explained


@contextmanager
def open_spool(folder: Path) -> Iterator[io.BufferedRandom]:
    """Yield a file that is gone when the block ends; a full disk is said to be one."""
    path = folder / f"{TEMPORARY}features"
    try:
        with path.open("wb+") as file:
            yield file
    except OSError as error:
        raise explained(error, folder / "features.h5") from error
    finally:
        path.unlink(missing_ok=True)


def blocks(spool: io.BufferedRandom, dim: int) -> Iterator[NDArray[np.float32]]:
    """Yield the features in `spool` from its start, 1024 rows at a time."""
    spool.flush()
    spool.seek(0)
    while content := spool.read(1024 * dim * 4):
        yield np.frombuffer(content, np.float32).reshape(-1, dim)

"""For tests, first on the path of a command's processes: a picture of a size in MARKS harms the process that decodes it."""

import os
import signal

from PIL import Image

MARKS = {(37, 23): signal.SIGSEGV, (41, 23): signal.SIGSTOP}
_opened = Image.open


def _harmful(*arguments: object, **named: object) -> Image.Image:
    found = _opened(*arguments, **named)  # type: ignore[arg-type]
    if found.size in MARKS:
        os.kill(os.getpid(), MARKS[found.size])
    return found


Image.open = _harmful  # type: ignore[assignment]

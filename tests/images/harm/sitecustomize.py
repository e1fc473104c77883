"""For tests, first on the path of a command's processes: a picture of MARK px harms the process that decodes it."""

import os
import signal

from PIL import Image

MARK = (37, 23)
_opened = Image.open


def _harmful(*arguments: object, **named: object) -> Image.Image:
    found = _opened(*arguments, **named)  # type: ignore[arg-type]
    if found.size == MARK:
        os.kill(os.getpid(), getattr(signal, os.environ["WSI_TEST_HARM"]))
    return found


Image.open = _harmful  # type: ignore[assignment]

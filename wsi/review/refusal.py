"""Answers that are no success: a status, a code, what is wrong in words, and what to do about it."""

import re
from http import HTTPStatus

from wsi.errors import ChildError, TimeoutExceeded, WsiError
from wsi.export.words import next_step

_PATH = re.compile(r"(?<![\w.<])(?:/|[A-Za-z]:[\\/])(?:[^\s/\\:,;'\"()<>]+[\\/])+(?=[^\s/\\])|(?<![\w.<])/(?=[\w.]+)")
_STATUS = {"E_ABSENT": 404, "E_NOSPACE": 507, "E_LOCKED": 503, "E_ARTIFACT": 409, "E_USAGE": 422, "E_BUG": 500}


class Refused(WsiError, ValueError):  # noqa: N818  (reads as the fact it states)
    """A request that isn't followed."""

    def __init__(self, status: int, code: str, message: str, *, next: str = "", wait_s: int = 0) -> None:  # noqa: A002
        super().__init__(message)
        self.status, self.code, self.next, self.wait_s = status, code, next, wait_s
        self.page = ""
        """HTML for a person who sees the answer itself; empty: JSON."""


def refused(error: WsiError, *, subject: str = "") -> Refused:
    """Return an error of this tool as an answer, without a path of this machine.

    Args:
        subject: what it is about, such as the slide's name; put first where the message doesn't name it.
    """
    if isinstance(error, Refused):
        return error
    told = without_paths(str(error))
    message = told if not subject or subject in told else f"{subject}: {told}"
    slow = isinstance(error, TimeoutExceeded)
    status = 503 if slow else 422 if isinstance(error, ChildError) else _STATUS.get(error.code, 422)
    return Refused(status, error.code, message, next=next_step(error.code), wait_s=5 if status == 503 else 0)


def of_status(status: int) -> Refused:
    """Return the answer for an HTTP status that has no more to say."""
    phrase = HTTPStatus(status).phrase
    return Refused(status, f"E_HTTP_{status}", f"{phrase}.", next="Reload the page.")


def without_paths(text: str) -> str:
    """Return `text` with the folders of absolute paths left out: what is told is a file's name at most."""
    return _PATH.sub("", text)

"""A decision as the page sends it, checked before it is written down."""

import json
from typing import Annotated, Any, NoReturn

from pydantic import Field, ValidationError

from wsi.config import Strict
from wsi.errors import did_you_mean
from wsi.results import Result, Stage, Verdict
from wsi.review.frame import frame
from wsi.review.refusal import Refused
from wsi.review.shapes import NO_SHAPES, checked_shapes
from wsi.review.text import clean

FAR_PX = 1 << 24
"""How far shapes may reach on a slide whose size isn't known."""


class Draft(Strict):
    """The body of a POST."""

    who: Annotated[str, Field(max_length=100)] = ""
    stage: Stage
    verdict: Verdict | None = None
    grade: Annotated[str, Field(max_length=200)] | None = None
    reason: Annotated[str, Field(max_length=2000)] = ""
    comment: Annotated[str, Field(max_length=10_000)] = ""
    shapes: dict[str, Any] = NO_SHAPES


def read_draft(body: bytes, result: Result, *, reviewer: str) -> dict[str, Any]:
    """Return what a decision on this slide says, without its place in the log.

    Args:
        reviewer: who it must be from; "" lets the draft say it.

    Raises:
        Refused: it isn't JSON of that form (400, 422), or from somebody else (403).
    """
    draft = _parsed(body)
    who = clean(draft.who) or reviewer
    if not who:
        raise _no("it doesn't say who decides", "Write your name.")
    if reviewer and who != reviewer:
        raise Refused(403, "E_REVIEWER", "This review is another person's.", next="Start one with --reviewer NAME.")
    if draft.stage == "own" and draft.verdict in ("agree", "disagree"):
        raise _no("an own read comes before the model's verdict is known", "Give a grade, or unsure.")
    scale = frame(result)
    size = (scale.width, scale.height) if scale else (FAR_PX, FAR_PX)
    made = result.provenance
    return {
        "who": who,
        "slide": result.slide,
        "slide_sha256": made.slide_sha256 if made else "",
        "model_sha256": made.model_sha256 if made else "",
        "stage": draft.stage,
        "verdict": draft.verdict,
        "grade": _grade(draft.grade, result),
        "reason": clean(draft.reason, lines=True),
        "comment": clean(draft.comment, lines=True),
        "shapes": checked_shapes(draft.shapes, width=size[0], height=size[1]),
    }


def _parsed(body: bytes) -> Draft:
    try:
        found = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "E_BODY", "The decision isn't JSON.", next="Reload the page.") from error
    try:
        return Draft.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"][:3]))[:80] or "it"
        raise _no(f"{where!r}: {first['msg']}", "Reload the page.") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _grade(grade: str | None, result: Result) -> str | None:
    """Return a grade by a class's own name; a slide without classes takes any."""
    if grade is None or not clean(grade):
        return None
    names = {c.name: c.name for c in result.classes}
    if names and grade not in names:
        raise _no(f"no class is called {clean(grade)!r}.{did_you_mean(grade, names)}", "Choose one of the classes.")
    return grade if names else clean(grade)


def _no(message: str, advice: str) -> Refused:
    return Refused(422, "E_DECISION", f"The decision can't be kept: {message}.", next=advice)

"""A decision as the page sends it, checked before it is written down."""

import json
from typing import Annotated, Any, NoReturn

from pydantic import Field, ValidationError

from wsi.config import Strict
from wsi.errors import did_you_mean
from wsi.printable import printable
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
    seen: Annotated[int, Field(ge=0, lt=1 << 31)] | None = None
    """How many decisions on the slide its author knew of; None doesn't say."""


def entry_of(draft: Draft, result: Result, *, reviewer: str, hidden: bool) -> dict[str, Any]:
    """Return what a decision on this slide says, without its place in the log.

    Args:
        reviewer: who it must be from; "" lets the draft say it.
        hidden: the model's verdict is hidden still: only an own read may be written down.

    Raises:
        Refused: it contradicts itself or the slide's result (422), is from somebody else (403), or (409) comes before
            the own read that a blind review asks for.
    """
    who = clean(draft.who) or reviewer
    if not who:
        raise _no("it doesn't say who decides", "Write your name.")
    if reviewer and who != reviewer:
        raise Refused(403, "E_REVIEWER", "This review is another person's.", next="Start one with --reviewer NAME.")
    if draft.stage == "final" and hidden:
        raise Refused(409, "E_OWN_READ_FIRST", "The own read comes first.", next="Write down your read, then decide.")
    grade = _own_grade(draft, result) if draft.stage == "own" else _final_grade(draft, result)
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
        "grade": grade,
        "reason": clean(draft.reason, lines=True),
        "comment": clean(draft.comment, lines=True),
        "shapes": checked_shapes(draft.shapes, width=size[0], height=size[1]),
    }


def parse_draft(body: bytes) -> Draft:
    """Return the body of a POST; Refused (400, 422) when it isn't JSON of that form."""
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


def _own_grade(draft: Draft, result: Result) -> str | None:
    """Return the grade of an own read, which says something of the slide: in words where there are no grades."""
    if draft.verdict in ("agree", "disagree"):
        raise _no("an own read comes before the model's verdict is known", "Give a grade, or unsure.")
    grade = _grade(draft.grade, result)
    is_told = not result.classes and (clean(draft.comment) or draft.shapes.get("features"))
    if not (grade or draft.verdict or is_told):
        advice = "a grade, or unsure" if result.classes else "a grade, unsure, a comment or an outline"
        raise _no("it doesn't say what you see", f"Give {advice}.")
    return grade


def _final_grade(draft: Draft, result: Result) -> str | None:
    """Return the grade of a final decision, which doesn't contradict its verdict."""
    if draft.verdict is None:
        raise _no("it has no verdict", "Choose agree, disagree or unsure.")
    if draft.verdict == "agree":
        return _agreed(draft.grade, result)
    grade = _grade(draft.grade, result)
    if draft.verdict == "unsure":
        return grade
    if grade is not None and grade == result.grade:
        raise _no(f"it disagrees, but {printable(grade)!r} is the model's own grade", "Agree, or give another grade.")
    if grade is None and (result.classes or not result.has_verdict):
        raise _no("it disagrees, but gives no grade of its own", "Give the grade that you see, or choose unsure.")
    return grade


def _agreed(grade: str | None, result: Result) -> str | None:
    """Return the model's grade, with which somebody agrees; None where a model without classes has none."""
    if not result.has_verdict:
        raise _no("there is no verdict of the model to agree with", "Give a grade of your own, or choose unsure.")
    if grade and clean(grade) != clean(result.grade or ""):
        raise _no(f"it agrees, but {clean(grade)!r} isn't the model's grade", "Disagree to give a grade of your own.")
    return result.grade


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

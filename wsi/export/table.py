"""predictions.csv: one row a slide, safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from wsi.export.cohort import Entry, publish_changes
from wsi.printable import safe_cell
from wsi.results import Decision, Result, read_decisions

NAME = "predictions.csv"
_COLUMNS = (
    "id", "path", "status", "code", "label", "probability", "confidence", "refer", "refer_reason", "flags",
    "tiles_wanted", "tiles_read", "tiles_unreadable", "tissue_mm2", "mpp", "mpp_source", "reason",
)  # fmt: skip
_LAST = ("model", "model_version", "model_sha256", "notice")
Cell = str | float | None


def write_predictions(out: Path, slides: Iterable[Entry]) -> None:
    """Write predictions.csv: a column for each class's probability, value and time of survival that any slide has.

    Once people have decided about slides, also what they decided last (review_status, review_grade, review_who,
    review_when, review_reason, review_comment): with review_grade as target, the table is one of labels to train on.
    review_conflict is "yes" where the last decisions of two people differ; own_grade is the last read before the
    model's verdict was shown.
    """
    decisions: dict[str, list[Decision]] = {}
    for decision in read_decisions(out):
        decisions.setdefault(decision.slide, []).append(decision)
    rows = [_row(entry) | _reviewed(decisions.get(entry.result.slide, []), entry.result) for entry in slides]
    own = list(dict.fromkeys(name for row in rows for name in row if name not in (*_COLUMNS, *_LAST)))
    publish_changes(out / NAME, _lines(rows, [*_COLUMNS, *own, *_LAST]))


def _lines(rows: Iterable[dict[str, Cell]], columns: list[str]) -> Iterator[bytes]:
    yield _line(columns)
    for row in rows:
        yield _line([row.get(column, "") for column in columns])


def _line(cells: Iterable[Cell]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerow(map(_written, cells))
    return buffer.getvalue().encode()


def _written(cell: Cell) -> str:
    """Return a number as it is, also below 0, and text so that no spreadsheet runs it."""
    if isinstance(cell, str):
        return safe_cell(cell)
    return "" if cell is None else f"{cell:.6g}"


def _row(entry: Entry) -> dict[str, Cell]:
    result = entry.result
    scale, model = result.scale, result.provenance
    positive = next((c.probability for c in result.classes if c.name == result.positive), None)
    row: dict[str, Cell] = {
        "id": result.slide,
        "path": result.path,
        "status": result.status,
        "code": result.code,
        "label": result.grade or "",
        "probability": positive,
        "confidence": result.confidence,
        "refer": "yes" if result.refer else "no",
        "refer_reason": result.refer_reason,
        "flags": ";".join(result.flags),
        "tiles_wanted": str(result.tiles.wanted),
        "tiles_read": str(result.tiles.read),
        "tiles_unreadable": str(result.tiles.unreadable),
        "tissue_mm2": result.tissue_mm2,
        "mpp": (scale.mpp_x * scale.mpp_y) ** 0.5 if scale else None,
        "mpp_source": scale.mpp_source if scale else "",
        "reason": result.reason,
        "model": model.model if model else "",
        "model_version": model.model_version if model else "",
        "model_sha256": model.model_sha256 if model else "",
        "notice": result.notice,
    }
    return row | {f"P({c.name})": c.probability for c in result.classes} | _values(result) | _of_images(result)


def _values(result: Result) -> dict[str, Cell]:
    """Return what a model without classes says, by column."""
    found: dict[str, Cell] = {}
    if result.value is not None:
        found = {"value": result.value.value, "unit": result.value.unit, "value_is": result.value.name}
    if curve := result.survival:
        shares = zip(curve.times, curve.shares, strict=True)
        found |= {f"S({time:g} {curve.unit})": share for time, share in shares}
    return found


def _of_images(result: Result) -> dict[str, Cell]:
    """Return the structures that a model marked, and what else it says, by column."""
    found: dict[str, Cell] = {f"{one.name} ({one.unit})": one.amount for one in result.structures}
    for one in result.also:
        found[one.title] = one.grade
        found |= {f"{one.title}: P({c.name})": c.probability for c in one.classes}
    return found


def _reviewed(decisions: Sequence[Decision], result: Result) -> dict[str, Cell]:
    """Return what was decided about a slide last, by column."""
    finals = {one.who: one for one in decisions if one.stage == "final"}
    last = next((one for one in reversed(decisions) if one.stage == "final"), None)
    told: dict[str, Cell] = {}
    if last is not None:
        opinions = {(one.verdict, _grade(one, result)) for one in finals.values()}
        told = {
            "review_status": last.verdict or "decided",
            "review_grade": _grade(last, result),
            "review_who": last.who,
            "review_when": last.when,
            "review_reason": last.reason,
            "review_comment": last.comment,
            "review_conflict": "yes" if len(opinions) > 1 else "no",
        }
    own = next((one for one in reversed(decisions) if one.stage == "own"), None)
    return told | ({"own_grade": own.grade or ""} if own else {})


def _grade(decision: Decision, result: Result) -> str:
    """Return the grade of a decision; one that agrees has the verdict's own."""
    agreed = result.grade if decision.verdict == "agree" else None
    return decision.grade or agreed or ""

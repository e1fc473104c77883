"""evaluation/: figures.json and figures.csv for programs, report.html for people."""

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wsi import __version__
from wsi.evaluate.compare import Comparison
from wsi.evaluate.figure import Figure
from wsi.evaluate.page import page
from wsi.evaluate.sheet import Sheet
from wsi.printable import safe_cell
from wsi.publish import publish
from wsi.results import RESEARCH_USE

FOLDER = "evaluation"
_COLUMNS = ("part", "group", "figure", "value", "low", "high", "count", "n", "patients", "p", "method", "reason")


def write_evaluation(out: Path, sheet: Sheet, *, sources: dict[str, str]) -> list[Path]:
    """Publish the three files in a folder and return their paths.

    Args:
        sources: the files it was made from: what each is, and its name.
    """
    told = "From " + ", ".join(f"{what} {Path(name).name}" for what, name in sources.items()) + "."
    files = {
        "figures.json": json.dumps(as_json(sheet, sources), indent=1, allow_nan=False, ensure_ascii=False) + "\n",
        "figures.csv": as_csv(sheet),
        "report.html": page(sheet, source=told),
    }
    for name, content in files.items():
        publish(out / name, content.encode())
    return [out / name for name in files]


def as_json(sheet: Sheet, sources: dict[str, str]) -> dict[str, Any]:
    """Return all figures as plain values, nothing rounded."""
    study, threshold = sheet.study, sheet.threshold
    return {
        "wsi_run": __version__,
        "notice": RESEARCH_USE,
        "sources": {what: Path(name).name for what, name in sources.items()},
        "target": study.target,
        "kind": study.kind,
        "classes": list(study.classes),
        "cases": study.n,
        "patients": len(set(study.patients)),
        "left_out": [{"why": one.why, "cases": list(one.cases)} for one in study.left_out],
        "notes": list(study.notes),
        "threshold": None
        if threshold is None
        else {
            "value": threshold.value,
            "rule": threshold.rule,
            "validation": [asdict(one) for one in (threshold.sensitivity, threshold.specificity) if one.is_estimable],
        },
        "sections": [
            {"title": one.title, "note": one.note, "figures": [asdict(figure) for figure in one.figures]}
            for one in sheet.sections
        ],
        "subgroups": [{"column": row.column, "group": row.group, **asdict(row.figure)} for row in sheet.subgroups],
        "against": [
            {
                "name": one.name,
                "cases": one.other.n,
                "without": one.without,
                "comparisons": [asdict(comparison) for comparison in one.comparisons],
            }
            for one in sheet.contests
        ],
    }


def as_csv(sheet: Sheet) -> str:
    """Return a line a figure, safe to open in a spreadsheet."""
    lines = [_line(section.title, "", figure) for section in sheet.sections for figure in section.figures]
    lines += [_line("Subgroup", f"{row.column}: {row.group}", row.figure) for row in sheet.subgroups]
    for contest in sheet.contests:
        for one in contest.comparisons:
            lines += [_line("Against", contest.name, figure, one) for figure in (one.first, one.second, one.difference)]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(lines)
    return buffer.getvalue()


def _line(part: str, group: str, figure: Figure, comparison: Comparison | None = None) -> list[str]:
    p = comparison.p if comparison is not None and figure is comparison.difference else None
    numbers = (figure.value, figure.low, figure.high, figure.count, figure.n, figure.patients, p)
    before, after = (part, group, figure.name), (figure.method, figure.reason)
    return [*map(safe_cell, before), *map(_number, numbers), *map(safe_cell, after)]


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)

"""The figures of an evaluation as a table in the terminal."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from wsi.evaluate.figure import Figure
from wsi.evaluate.sheet import Sheet
from wsi.printable import printable

_NAMED = 3


def tell(sheet: Sheet, files: Sequence[Path]) -> None:
    """Print what was evaluated, all figures, comparisons and where the files are."""
    study = sheet.study
    patients = len(set(study.patients))
    classes = f" ({', '.join(study.classes)})" if study.classes else ""
    click.echo(printable(f"{study.target}: {study.n} cases of {patients} patients, {study.kind}{classes}"))
    for one in study.left_out:
        some = ", ".join(one.cases[:_NAMED]) + (", ..." if len(one.cases) > _NAMED else "")
        click.echo(printable(f"  not in any figure: {len(one.cases)}, {one.why} ({some})"))
    for note in study.notes:
        click.echo(printable(f"  {note}"))
    for section in sheet.sections:
        click.echo("\n" + printable(f"{section.title}. {section.note}"))
        _table(_row(figure.name, figure) for figure in section.figures)
    if sheet.subgroups:
        click.echo("\nSubgroups")
        _table(_row(f"{row.figure.name}, {row.column} {row.group}", row.figure) for row in sheet.subgroups)
    for contest in sheet.contests:
        click.echo("\n" + printable(f"Against {contest.name}, {contest.other.n} shared cases"))
        _table(
            (one.difference.name, one.difference.text(), "" if one.p is None else f"p {_p(one.p)}")
            for one in contest.comparisons
        )
    click.echo(
        f"\nResearch use only. Written: {printable(str(files[-1]))}, and {', '.join(f.name for f in files[:-1])}"
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _row(name: str, figure: Figure) -> tuple[str, str, str]:
    return name, figure.text(), figure.denominator


def _table(rows: Iterable[tuple[str, str, str]]) -> None:
    listed = [tuple(printable(cell) for cell in row) for row in rows]
    first, second = (max((len(row[k]) for row in listed), default=0) for k in (0, 1))
    for name, value, of in listed:
        click.echo(f"  {name:{first}}  {value:{second}}  {of}".rstrip())

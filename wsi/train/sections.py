"""A report in sections, for a terminal and as Markdown; names in it come from files of others."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wsi.printable import html_text, printable


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, a table (its first row is the head) and lines below it."""

    title: str
    table: tuple[tuple[str, ...], ...] = ()
    lines: tuple[str, ...] = ()


def as_text(sections: Iterable[Section]) -> str:
    """Return sections for a terminal, columns aligned."""
    return "\n\n".join("\n".join(map(printable, _as_text(section))) for section in sections) + "\n"


def as_markdown(sections: Iterable[Section]) -> str:
    """Return sections as Markdown."""
    return "\n\n".join("\n".join(_as_markdown(section)) for section in sections) + "\n"


def _as_text(section: Section) -> Iterator[str]:
    yield section.title
    if section.table:
        widths = [max(map(len, column)) for column in zip(*section.table, strict=True)]
        for row in section.table:
            yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    yield from (f"  {line}" for line in section.lines)


def _as_markdown(section: Section) -> Iterator[str]:
    yield f"## {section.title}\n"
    if section.table:
        head, *rows = section.table
        yield _row(head)
        yield _row(["---"] * len(head))
        yield from map(_row, rows)
        yield from [""] if section.lines else []
    yield from (f"- {_escaped(line)}" for line in section.lines)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _escaped(text: str) -> str:
    """Return a name from a labels file as plain text in Markdown: no table, no HTML, no line of its own."""
    return html_text(text).replace("|", "\\|")

"""Text of strangers made safe to show: in a terminal, a page, a spreadsheet; and numbers as people read them."""

from html import escape
from pathlib import Path

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def printable(text: str) -> str:
    """Return `text` with control, direction and other invisible characters spelled out as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def spelled_name(name: str) -> str:
    """Return a file's name with the bytes that are no UTF-8 spelled out as escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def told_of(path: Path, error: Exception) -> str:
    """Return what another library says of a file, without the folder that the file lies in.

    Libraries quote paths as they are, as Python writes them, or with the bytes that are no UTF-8 replaced.
    """
    folder, told = f"{path.parent}/", str(error)
    replaced = folder.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    for written in (folder, repr(folder)[1:-1], replaced):
        told = told.replace(written, "")
    return told


def html_text(text: str) -> str:
    """Return text as HTML: no tag, no attribute, no invisible character comes out of it."""
    return escape(printable(text), quote=True)


def figure(value: float, digits: int = 3) -> str:
    """Return a number by so many digits, a large one whole: `0.0321`, `23.4`, `1,480`."""
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.{digits}g}"


def safe_cell(text: str) -> str:
    """Return text that no spreadsheet runs as a formula, on one line."""
    spelled = printable(text)
    return "'" + spelled if text.startswith(_FORMULA) else spelled


def bare_cell(text: str) -> str:
    """Return what `safe_cell` kept from being a formula, as it was."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text

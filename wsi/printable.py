"""Text of strangers made safe to show: in a terminal, a page, a spreadsheet."""

from html import escape

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def printable(text: str) -> str:
    """Return `text` with control, direction and other invisible characters spelled out as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def html_text(text: str) -> str:
    """Return text as HTML: no tag, no attribute, no invisible character comes out of it."""
    return escape(printable(text), quote=True)


def safe_cell(text: str) -> str:
    """Return text that no spreadsheet runs as a formula, on one line."""
    spelled = printable(text)
    return "'" + spelled if text.startswith(_FORMULA) else spelled

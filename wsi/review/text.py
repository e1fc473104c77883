"""What people write, made safe to keep and to show."""

import unicodedata

from wsi.printable import printable


def clean(text: str, *, lines: bool = False) -> str:
    """Return text without blanks around it, any kind of blank as a space, and what can't be seen spelled out.

    Args:
        lines: keep line breaks; else they become spaces.
    """
    plain = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in plain)
    return ("\n" if lines else " ").join(printable(line) for line in spaced.strip().split("\n"))

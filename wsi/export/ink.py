"""Text and lines on a picture, with the font that comes with Pillow."""

import unicodedata

from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
BLACK: Color = (24, 28, 33)
GRAY: Color = (88, 96, 105)
WHITE: Color = (255, 255, 255)
_SPELLED = {"µ": "u", "μ": "u", "²": "2", "≥": ">=", "≤": "<=", "–": "-", "—": "-", "×": "x", "’": "'"}
_LEAST = 0.62
"""Text that doesn't fit is made smaller down to this share of its size; then it is cut."""


def plain(text: str) -> str:
    """Return `text` in the characters that the font has: ASCII, accents dropped, `?` for the rest."""
    spelled = "".join(_SPELLED.get(c, c) for c in text)
    bare = "".join(c for c in unicodedata.normalize("NFKD", spelled) if not unicodedata.combining(c))
    return bare.encode("ascii", "replace").decode()


def font(size: float) -> Font:
    """Return Pillow's own font at `size` px."""
    return ImageFont.load_default(max(6.0, size))


def width_of(text: str, size: float) -> float:
    return font(size).getlength(plain(text))


def write(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    size: float,
    *,
    color: Color = BLACK,
    anchor: str = "la",
    most: float | None = None,
    bold: bool = False,
) -> None:
    """Draw one line of text, `most` px wide: made smaller, then cut, where it would be wider."""
    text, size = fitted(plain(text), size, most)
    stroke = size / 44 if bold else 0.0
    draw.text(place, text, fill=color, font=font(size), anchor=anchor, stroke_width=stroke, stroke_fill=color)


def fitted(text: str, size: float, most: float | None) -> tuple[str, float]:
    """Return the text and size that fit into `most` px."""
    if most is None or (wide := width_of(text, size)) <= most:
        return text, size
    size *= max(_LEAST, most / wide)
    while len(text) > 4 and width_of(text, size) > most:
        text = text[: -max(4, len(text) // 16)].rstrip() + "..."
    return text, size


class Lines:
    """Smooth lines over a picture: drawn twice as large as a mask, then laid on in one color."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._zoom = 2 if max(size) <= 4096 else 1
        self._size = size
        self._mask = Image.new("L", (size[0] * self._zoom, size[1] * self._zoom), 0)
        self._draw = ImageDraw.Draw(self._mask)

    def ring(self, points: list[tuple[float, float]], width: float) -> None:
        """Draw a closed ring of points in px of the picture."""
        zoom = self._zoom
        self._draw.line(
            [(x * zoom, y * zoom) for x, y in points], fill=255, width=max(1, round(width * zoom)), joint="curve"
        )

    def lay_on(self, picture: Image.Image, color: Color) -> None:
        picture.paste(color, (0, 0), self._mask.resize(self._size, Image.Resampling.BOX))

"""What it means that an image lies outside of a card's limits, in words for whoever has to do something about it."""

from dataclasses import dataclass

ELSE = "give it to a model of its kind: wsi-run models list says what each reads"
"""What can be done with any image that isn't the model's."""
_UNEDITED = "if it is of that kind, take the original as it was exported"


@dataclass(frozen=True, slots=True)
class Told:
    """What it means when a look is below its least or above its most, and what to do if the image is of the kind all the same."""

    low: str
    high: str
    remedy: str = _UNEDITED


_ROUND = "if it is a photograph through a round field of view, take it whole, on a plain ground without a frame or text"
TOLD = {
    "air": Told("it holds too little air", "it holds air, as on the scale of CT"),
    "fat": Told("it holds too little fat", "many of its values are those of fat on the scale of CT"),
    "levels": Told(
        "it holds too few different values: a mask, not an image",
        "it holds too many different values",
        "if it is a mask, give the image that it was drawn on",
    ),
    "smooth": Told("its neighboring samples have nothing to do with one another, as in noise", "it is too smooth"),
    "gray": Told("it is in color", "it has hardly any color"),
    "colorful": Told("it has too little color", "it has too much color"),
    "red": Told("it has too little red", "it is too red"),
    "pale": Told("its colors hold too little blue for it", "its colors hold too much blue for it"),
    "warm": Told("too few of its colors lie between red and yellow", "its colors lie between red and yellow"),
    "blue": Told("too little of it is blue", "too much of it is blue"),
    "bright_ground": Told("it has no bright ground", "too much of it is white"),
    "off_stain": Told("its colors are those of stained tissue", "its colors are far from those of stained tissue"),
    "round": Told("no round field of view was found", "it has a round field of view", _ROUND),
    "surround": Told("too little of it is surround", "too much of it is surround", _ROUND),
    "column": Told("its middle is too dark", "its middle is too bright"),
    "contrast": Told("it has too little contrast", "it has too much contrast"),
    "fine": Told("it has too little fine detail", "too much of it is fine detail"),
    "stained": Told("it looks too little like stained tissue", "it looks like stained tissue"),
    "wide": Told(
        "it is too narrow for its height", "it is too wide for its height", "cut off what lies beside the image"
    ),
}
"""By the names of `wsi.read.looks`."""


def told(look: str, found: float, low: float, high: float) -> str:
    """Return what is wrong with an image whose look isn't within its limits, and what to do about it."""
    words = TOLD[look]
    what = words.low if found < low else words.high
    return f"{what} ({look} is {found:.3g}, expected {low:g} to {high:g}); {words.remedy}, else {ELSE}"

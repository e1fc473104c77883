"""From an image as it is read to what a network sees: the steps that a card names, in its order."""

from wsi.preprocess.apply import apply

__all__ = ["apply"]

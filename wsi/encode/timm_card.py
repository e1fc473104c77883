"""Cards of timm's own networks, kept in the user's cache folder: to load timm takes seconds. No torch where one is kept."""

import contextlib
import importlib.metadata
import re

from pydantic import ValidationError

from wsi.card import EncoderCard
from wsi.publish import publish
from wsi.resources import cache_folder

_PLAIN = re.compile(r"[a-z0-9_.]+")


def timm_card(name: str) -> EncoderCard:
    """Return a card for `timm:NAME`, from what timm says of its own network.

    Raises:
        ModelError: timm doesn't know it, or it takes no images of three channels.
    """
    kept = cache_folder() / f"timm-{importlib.metadata.version('timm')}" / f"{name}.json"
    if _PLAIN.fullmatch(name):
        with contextlib.suppress(OSError, ValidationError):
            card = EncoderCard.model_validate_json(kept.read_bytes())
            if card.id == f"timm:{name}":
                return card
    from wsi.encode.build import describe

    card = describe(name)
    if _PLAIN.fullmatch(name):
        with contextlib.suppress(OSError):
            publish(kept, card.model_dump_json().encode())
    return card

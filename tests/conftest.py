"""How all tests run."""

from wsi.resources import collect_seldom

collect_seldom()

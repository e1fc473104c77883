"""Where an explanation is strong, as outlines: what spoke for a picture's verdict, and what against it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi.export.explanation import NEUTRAL, OUTSIDE, STEPS
from wsi.export.regions import clip
from wsi.geometry import Bounds

FROM = 0.5
"""Share of an explanation's strongest from which it is outlined."""
MOST = 6
"""Objects for each side: a person looks at these one by one."""
SIMPLIFY_PX = 0.5
"""Of the explanation's px, by which an outline may be smoothed."""


@dataclass(frozen=True, slots=True)
class ExplainedRegion:
    """A region in the picture's px; is_for: it speaks for, not against; strength: its mean share of the strongest."""

    shape: shapely.MultiPolygon
    is_for: bool
    strength: float


def explained_regions(explanation: NDArray[np.uint8], area: Bounds) -> Iterator[ExplainedRegion]:
    """Yield where an explanation `(h, w)` of bytes is at least FROM of its strongest: for first, the largest first.

    At most MOST of each; the last one then gathers all that are smaller.
    """
    from scipy import ndimage  # which the report has no use for

    share = (explanation.astype(np.float64) - NEUTRAL) / STEPS
    share[explanation == OUTSIDE] = 0
    for is_for, strength in ((True, share), (False, -share)):
        pieces, count = ndimage.label(strength >= FROM, np.ones((3, 3)))
        order = (1 + np.argsort(-np.bincount(pieces.ravel())[1:], kind="stable")).tolist()
        for chosen in [[one] for one in order[: MOST - 1]] + [order[MOST - 1 :]] * (count >= MOST):
            mask = np.isin(pieces, chosen)
            yield ExplainedRegion(outline(mask, area), is_for, float(strength[mask].mean()))


def outline(mask: NDArray[np.bool_], area: Bounds) -> shapely.MultiPolygon:
    """Return the outline of a mask `(h, w)` over the whole of a picture, in the picture's px."""
    from wsi.tissue.shapes import mask_polygons

    scale = np.array([area.size.width / mask.shape[1], area.size.height / mask.shape[0]])
    smooth = shapely.simplify(mask_polygons(mask), SIMPLIFY_PX)
    return clip(shapely.transform(smooth, lambda xy: xy * scale), area)

"""Occlusion: how much the score falls when a part of the picture is covered."""

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import torch
from torch import Tensor

from wsi.windows import starts

PARTS = 8
"""A cover is an eighth of a side, and moves by half of itself."""
BATCH = 4
Score = Callable[[Tensor], Tensor]


def occlusion(
    score: Score, image: Tensor, baseline: Tensor, *, cover: Sequence[int] | None = None, batch: int = BATCH
) -> Tensor:
    """Return by how much the score falls per covered px, the mean over all covers that lie on a px, `(h, w)`.

    Of a linear score and covers that don't overlap, the parts add up to `score(image) - score(baseline)`.

    Args:
        image, baseline: `(3, h, w)`; what a cover shows is the baseline's.
        cover: height and width of it; None: an eighth of each side. It moves by half of itself.

    Source: Zeiler and Fergus 2014, section 4.1.
    """
    height, width = image.shape[1:]
    size = tuple(cover) if cover is not None else tuple(max(1, round(side / PARTS)) for side in (height, width))
    with torch.inference_mode():
        whole = float(score(image[None])[0])
        falls = torch.zeros(height, width)
        times = torch.zeros(height, width)
        corners = list(_corners((height, width), size))
        for at in range(0, len(corners), batch):
            some = corners[at : at + batch]
            said = score(torch.stack([_covered(image, baseline, corner, size) for corner in some]))
            for (top, left), one in zip(some, said.tolist(), strict=True):
                part = (slice(top, top + size[0]), slice(left, left + size[1]))
                falls[part] += (whole - one) / (size[0] * size[1])
                times[part] += 1
    return falls / times


def _corners(sides: tuple[int, int], size: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    rows, columns = (starts(side, min(part, side), max(1, part // 2)) for side, part in zip(sides, size, strict=True))
    yield from product(rows, columns)


def _covered(image: Tensor, baseline: Tensor, corner: tuple[int, int], size: tuple[int, ...]) -> Tensor:
    found = image.clone()
    part = (slice(None), slice(corner[0], corner[0] + size[0]), slice(corner[1], corner[1] + size[1]))
    found[part] = baseline[part]
    return found

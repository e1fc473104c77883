"""The same tissue under two names: bags that are equal, and bags that are almost."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wsi.encode import Features
from wsi.publish import sha256_bytes
from wsi.train.labels import natural

DIRECTIONS = 32
"""How many tiles of a bag are compared: those farthest along so many fixed random directions."""
MIN_COSINE = 0.999
MAX_SPREAD = 0.01
"""Largest squared distance of two tiles that are one, as a share of what two tiles of different bags usually have."""
MIN_SHARE = 0.5
"""Share of the compared tiles that must be the other bag's too."""
MIN_COORDS = 20
MIN_DIM = 32
"""Narrower features are too coarse to tell near tiles from the same: of 193 proteins in 8 numbers 76 % looked copied."""
BLOCK = 256


@dataclass(frozen=True, slots=True)
class BagFacts:
    """What is kept of a bag for comparing.

    Number of tiles, hashes of features and coords ("" where they tell nothing), `sketch` (K, D) float32 of the tiles
    farthest along K directions, and `farthest` (K,): which tiles these are. K is 0 in an empty bag.
    """

    tiles: int
    features_hash: str
    coords_hash: str
    sketch: NDArray[np.float32]
    farthest: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two slides of the same tissue: equal files, features or coords, or near ones (`share` of what was compared)."""

    kind: Literal["file", "features", "coords", "near"]
    slides: tuple[str, str]
    share: float


def bag_facts(bag: Features) -> BagFacts:
    """Return what duplicates are found by; the order of the tiles doesn't matter."""
    features = bag.features
    order = np.lexsort((features[:, -1], features[:, 0]))
    coords = bag.coords[np.lexsort((bag.coords[:, 1], bag.coords[:, 0]))]
    return BagFacts(
        len(bag),
        sha256_bytes(features[order].tobytes()),
        "" if len(coords) < MIN_COORDS or _is_full_grid(coords) else sha256_bytes(coords.tobytes()),
        *_sketch(features),
    )


def _is_full_grid(coords: NDArray[np.int32]) -> bool:
    """Return whether the tiles fill a box: so do those of all images of one size."""
    return len(np.unique(coords[:, 0])) * len(np.unique(coords[:, 1])) == len(coords)


def _sketch(features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the tiles that lie farthest along fixed directions, which a bag's copy has too, and their numbers."""
    directions = np.random.default_rng(0).standard_normal((features.shape[1], DIRECTIONS)).astype(np.float32)
    farthest = (features @ directions).argmax(axis=0) if len(features) else np.zeros(0, np.int64)
    return features[farthest], farthest


def find_duplicates(facts: Mapping[str, BagFacts]) -> list[Duplicate]:
    """Return the pairs of slides that are the same tissue, in order of their names.

    Equal ones first; of a group of n equal bags, n - 1 pairs. Empty bags are alike to none.
    """
    known = {name: facts[name] for name in sorted(facts, key=natural) if facts[name].tiles}
    found = list(_equal(known, "features"))
    seen = {pair.slides for pair in found}
    copies = {pair.slides[1] for pair in found}
    found += [pair for pair in _equal(known, "coords") if pair.slides not in seen]
    seen |= {pair.slides for pair in found}
    first = {name: one for name, one in known.items() if name not in copies}
    return found + [pair for pair in _near(first) if pair.slides not in seen]


def _equal(facts: Mapping[str, BagFacts], kind: Literal["features", "coords"]) -> Iterator[Duplicate]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name, one in facts.items():
        key = one.features_hash if kind == "features" else one.coords_hash
        if key:
            groups[key].append(name)
    for names in groups.values():
        yield from (Duplicate(kind, pair, 1.0) for pair in pairwise(names))


def _near(facts: Mapping[str, BagFacts]) -> Iterator[Duplicate]:
    """Compare, direction by direction, the farthest tiles of all bags: `K * n² * D` products, a block at a time."""
    names = list(facts)
    if len(names) < 2 or facts[names[0]].sketch.shape[1] < MIN_DIM:
        return
    sketches = np.stack([facts[name].sketch for name in names], axis=1)  # (K, n, D)
    weights = np.stack([_weights(facts[name].farthest) for name in names], axis=1)  # (K, n)
    lengths = np.linalg.norm(sketches, axis=2)  # (K, n)
    sketches -= sketches.mean(axis=(0, 1))
    squares = (sketches**2).sum(axis=2)  # (K, n)
    limit = MAX_SPREAD * _usual_distance(sketches)
    for low in range(0, len(names), BLOCK):
        block = slice(low, low + BLOCK)
        share = np.zeros((len(names[block]), len(names)))
        for tiles, weight, length, square in zip(sketches, weights, lengths, squares, strict=True):
            apart = np.maximum(square[block, None] + square[None] - 2 * (tiles[block] @ tiles.T), 0)  # (b, n)
            product = np.maximum(length[block, None] * length[None], 1e-30)
            cosine = (length[block, None] ** 2 + length[None] ** 2 - apart) / (2 * product)
            same = (cosine > MIN_COSINE) & (apart <= limit + 1e-6 * square[block, None])
            share += same * np.maximum(weight[block, None], weight[None])
        for at, other in np.argwhere(share >= MIN_SHARE):
            if low + at < other:
                yield Duplicate("near", (names[low + at], names[other]), min(float(share[at, other]), 1.0))


def _weights(farthest: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return a weight a direction, so that each different tile weighs the same and all of them 1."""
    _, inverse, counts = np.unique(farthest, return_inverse=True, return_counts=True)
    weights: NDArray[np.float64] = 1.0 / (counts[inverse] * len(counts))
    return weights


def _usual_distance(sketches: NDArray[np.float32]) -> float:
    """Return the median squared distance of two tiles of different bags, from 2,000 drawn pairs."""
    rng = np.random.default_rng(0)
    directions, bags, _ = sketches.shape
    one = rng.integers(bags, size=2000)
    other = (one + rng.integers(1, bags, size=2000)) % bags
    which = rng.integers(directions, size=(2, 2000))
    return float(np.median(((sketches[which[0], one] - sketches[which[1], other]) ** 2).sum(axis=1)))


def named(duplicates: Iterable[Duplicate]) -> str:
    """Return the pairs as a person reads them."""
    how = {"file": "the same file", "features": "equal features", "coords": "equal tile places", "near": "nearly equal"}
    return "; ".join(f"{one.slides[0]} and {one.slides[1]} ({how[one.kind]})" for one in duplicates)

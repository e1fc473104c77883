"""Features of every bag under several views, computed once and kept in a cache folder."""

import hashlib
import zlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from augment import Array, bloody, donors, elsewhere, tissue_colors, view
from cohort import Bag
from encoder import load_network
from numpy.typing import NDArray
from torch import nn

from wsi.publish import publishing, sha256_file

Features = NDArray[np.float32]
BATCH = 4
"""Tiles at once: on one CPU thread twice as fast as 32."""
VIEWS = 6
SHIFTS = ((1.0, 0.0), (1.0, 0.0), (1.4, 0.0), (0.7, 0.8))
"""Zoom and blur of the test views, each in the colors of another case's slide."""


def embed(network: nn.Module, tiles: NDArray[np.uint8]) -> Features:
    """Return `(N, 1280)` float32 for `(N, 224, 224, 3)` uint8 RGB."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(tiles), BATCH):
            images = torch.from_numpy(tiles[start : start + BATCH]).permute(0, 3, 1, 2).float() / 127.5 - 1
            found.append(network(images.contiguous(memory_format=torch.channels_last)).numpy())
    return np.concatenate(found)


def ready_network(weights: Path) -> nn.Module:
    """Return the encoder for one thread of one process."""
    torch.set_num_threads(1)
    return load_network(weights).to(memory_format=torch.channels_last)


def extract(bags: Sequence[Bag], weights: Path, *, seed: int, cache: Path, jobs: int = 2) -> list[Path]:
    """Return a file a bag in `cache`, made where it's missing, in the order of `bags`.

    Each holds clean `(N, D)`, views `(VIEWS, N, D)`, bloody `(N, D)` and shifted `(len(SHIFTS), N, D)`; float16.
    """
    folder = cache / _key(weights, seed)
    paths = [folder / f"{bag.id}.npz" for bag in bags]
    if all(path.exists() for path in paths):
        return paths
    colors = donors([tissue_colors(bag.tiles()) for bag in bags], [b.group for b in bags], seed=seed, count=len(SHIFTS))
    work = partial(_extract_one, weights=weights, seed=seed)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for n, bag_id in enumerate(pool.map(work, bags, paths, colors), 1):
            print(f"features {n}/{len(bags)} {bag_id}", flush=True)
    return paths


def _key(weights: Path, seed: int) -> str:
    """Return a short name for everything the features depend on but the bag: encoder, code of the views, seed."""
    here = Path(__file__)
    code = here.with_name("augment.py").read_bytes() + here.read_bytes()
    return hashlib.sha256(code + f"{sha256_file(weights)} {seed}".encode()).hexdigest()[:16]


def _extract_one(bag: Bag, path: Path, colors: list[Array], *, weights: Path, seed: int) -> str:
    if path.exists():
        return bag.id
    network, tiles = ready_network(weights), bag.tiles()
    rng = np.random.default_rng([seed, zlib.crc32(bag.id.encode())])
    shifted = zip(SHIFTS, colors, strict=True)
    arrays = {
        "views": np.stack([embed(network, view(tiles, rng)) for _ in range(VIEWS)]),
        "bloody": embed(network, bloody(tiles, rng)),
        "shifted": np.stack([embed(network, elsewhere(tiles, c, zoom=z, blur_px=b)) for (z, b), c in shifted]),
        "clean": embed(network, tiles),
    }
    with publishing(path) as part, part.open("wb") as file:
        np.savez(file, **{name: values.astype(np.float16) for name, values in arrays.items()})  # type: ignore[arg-type]
    return bag.id

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
from augment import bloody, view
from cohort import Bag
from encoder import load_network
from numpy.typing import NDArray
from torch import nn

from wsi.publish import publishing, sha256_file

Features = NDArray[np.float32]
BATCH = 33


def embed(network: nn.Module, tiles: NDArray[np.uint8]) -> Features:
    """Return `(N, 1280)` float32 for `(N, 224, 224, 3)` uint8 RGB."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(tiles), BATCH):
            images = torch.from_numpy(tiles[start : start + BATCH]).permute(0, 3, 1, 2).float() / 127.5 - 1
            found.append(network(images.contiguous(memory_format=torch.channels_last)).numpy())
    return np.concatenate(found)


def extract(bags: Sequence[Bag], weights: Path, *, views: int, seed: int, cache: Path, jobs: int = 2) -> list[Path]:
    """Return a file a bag in `cache`, made where it's missing, in the order of `bags`.

    Each holds clean `(N, D)`, views `(V, N, D)` and bloody `(N, D)`; float16.
    """
    work = partial(_extract_one, weights=weights, views=views, seed=seed, cache=cache / key(weights, views, seed))
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return list(pool.map(work, bags))


def key(weights: Path, views: int, seed: int) -> str:
    """Return a short name for everything the features depend on but the bag: encoder, code of the views, seed."""
    code = Path(__file__).with_name("augment.py").read_bytes()
    digest = hashlib.sha256(code + f"{sha256_file(weights)} {views} {seed}".encode())
    return digest.hexdigest()[:16]


def _extract_one(bag: Bag, *, weights: Path, views: int, seed: int, cache: Path) -> Path:
    path = cache / f"{bag.group.replace('/', '_')}-{bag.id}.npz"
    if path.exists():
        return path
    torch.set_num_threads(1)
    network = load_network(weights).to(memory_format=torch.channels_last)
    tiles = bag.tiles()
    rng = np.random.default_rng([seed, zlib.crc32(bag.id.encode())])
    seen = [embed(network, np.stack([view(tile, rng) for tile in tiles])) for _ in range(views)]
    blood = embed(network, np.stack([bloody(tile, rng) for tile in tiles]))
    arrays = {"clean": embed(network, tiles), "views": np.stack(seen), "bloody": blood}
    with publishing(path) as part, part.open("wb") as file:
        np.savez(file, **{name: values.astype(np.float16) for name, values in arrays.items()})  # type: ignore[arg-type]
    return path

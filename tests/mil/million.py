"""Attend to 1,000,000 tiles of 512 numbers in a process of its own and print what it took, as JSON.

The features are windows into one long row of numbers, so the bag itself takes 4 MB where it would take 2 GB.
"""

import json
import resource
import sys
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from wsi.mil import HeadSpec, attend, make_head

TILES, DIM, BLOCK = 1_000_000, 512, 8192


def peak_bytes() -> int:
    """Return the most memory this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    torch.set_num_threads(1)
    row = torch.randn(TILES + DIM - 1, generator=torch.Generator().manual_seed(0))
    bag = row.unfold(0, DIM, 1)  # (TILES, DIM)
    weight = torch.randn(DIM, generator=torch.Generator().manual_seed(1)) / 5
    network = make_head(HeadSpec(hidden=16, width=8), DIM).eval()
    network.read(bag[:4])
    before = peak_bytes()

    def blocks() -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, TILES, BLOCK):
            block = bag[start : start + BLOCK]
            yield block @ weight, block

    embedding, attention = attend(blocks())
    reading = network.read(bag)
    extra = peak_bytes() - before

    scores = np.concatenate([block.numpy() for block, _ in blocks()]).astype(np.float64)
    plain = np.exp(scores - scores.max())
    plain /= plain.sum()
    windows = np.lib.stride_tricks.sliding_window_view(row.numpy(), DIM)
    expected = sum(
        plain[start : start + BLOCK] @ windows[start : start + BLOCK].astype(np.float64)
        for start in range(0, TILES, BLOCK)
    )
    found = {
        "tiles": len(attention),
        "extra_bytes": extra,
        "embedding_error": float(np.abs(embedding.numpy() - expected).max()),
        "attention_error": float(np.abs(attention.numpy() - plain).max()),
        "read_attention_sum": float(reading.attention.double().sum()),
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()

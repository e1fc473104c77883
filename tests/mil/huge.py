"""Read a bag of 200,000 tiles of 1,024 numbers with each of the heads that are named and print what it took, a JSON a line.

The features are windows into one long row of numbers, so the bag itself takes 1 MB where it would take 800 MB. Each head
works in a process of its own, forked from one that has torch.
"""

import json
import os
import resource
import sys

import torch

from wsi.mil import HeadSpec, make_head

TILES, DIM, HIDDEN = 200_000, 1024, 96


def peak_bytes() -> int:
    """Return the most memory this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def read(name: str) -> dict[str, object]:
    """Return what the head `name` took and found."""
    torch.manual_seed(0)
    row = torch.randn(TILES + DIM - 1)
    bag = row.unfold(0, DIM, 1)  # (TILES, DIM)
    head = make_head(HeadSpec(name, hidden=HIDDEN), DIM).eval()
    head.read(bag[:4])
    before = peak_bytes()
    reading = head.read(bag)
    return {
        "head": name,
        "extra_bytes": peak_bytes() - before,
        "tiles": len(reading.attention),
        "attention_sum": float(reading.attention.double().sum()),
        "finite": all(bool(t.isfinite().all()) for t in (reading.logits, reading.attention, reading.tile_logits)),
    }


def main() -> None:
    for name in sys.argv[1:]:
        child = os.fork()
        if child == 0:
            os.write(1, json.dumps(read(name)).encode() + b"\n")
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            sys.exit(f"{name}: the process failed")


if __name__ == "__main__":
    main()

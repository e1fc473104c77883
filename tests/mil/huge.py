"""Read a bag of 200,000 tiles of 1,024 numbers with the head that is named and print what it took, as JSON.

The features are windows into one long row of numbers, so the bag itself takes 1 MB where it would take 800 MB.
"""

import json
import resource
import sys
import time

import torch

from wsi.mil import HeadSpec, make_head

TILES, DIM = 200_000, 1024


def peak_bytes() -> int:
    """Return the most memory this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    torch.manual_seed(0)
    row = torch.randn(TILES + DIM - 1)
    bag = row.unfold(0, DIM, 1)  # (TILES, DIM)
    head = make_head(HeadSpec(sys.argv[1], hidden=int(sys.argv[2])), DIM).eval()
    head.read(bag[:4])
    before, start = peak_bytes(), time.monotonic()
    reading = head.read(bag)
    found = {
        "extra_bytes": peak_bytes() - before,
        "seconds": time.monotonic() - start,
        "tiles": len(reading.attention),
        "attention_sum": float(reading.attention.double().sum()),
        "finite": all(bool(t.isfinite().all()) for t in (reading.logits, reading.attention, reading.tile_logits)),
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()

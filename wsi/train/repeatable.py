"""What makes a rerun give the same bytes: threads, algorithms, and a state of chance that is put back."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def repeatable(device: torch.device, *, threads: int) -> Iterator[None]:
    """Let torch compute in one fixed order; the caller's threads, algorithms and random state come back after it.

    Sums of floats depend on how they are shared among threads, so the same number of threads is part of the recipe.
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS asks for, to repeat its sums
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    devices = [device.index or 0] if device.type == "cuda" else []
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=device.type != "cpu")
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])

"""The GPUs that a run shares among its workers, counted without torch, whose import takes seconds."""

import os
from pathlib import Path

FOLDER = Path("/proc/driver/nvidia/gpus")
"""Where Nvidia's driver on Linux lists them."""
JOBS_EACH = 2
"""Workers that share a GPU: one slide is encoded while another is opened, graded or written."""


def gpu_count() -> int:
    """Return how many GPUs of Nvidia this process may use; 0 where the driver says nothing of them."""
    there = len(list(FOLDER.iterdir())) if FOLDER.is_dir() else 0
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (
        there
        if shown is None
        else min(there, len([name for name in shown.split(",") if name.strip() not in ("", "-1")]))
    )


def jobs_for(device: str) -> int:
    """Return how many slides are worked on at once where nobody said: one on a CPU, some for each GPU."""
    if device.startswith("cuda:"):
        return JOBS_EACH
    return max(1, JOBS_EACH * gpu_count()) if device in ("auto", "cuda") else 1


def device_of(place: int, device: str) -> str:
    """Return the device of the worker at a place among all: they take turns where the name leaves it open."""
    count = gpu_count() if device in ("auto", "cuda") else 0
    return f"cuda:{place % count}" if count > 1 else device

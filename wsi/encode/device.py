"""The device a network runs on, by its name."""

import torch

from wsi.errors import UsageError


def find_device(name: str) -> torch.device:
    """Return the device; UsageError when torch knows no such device or has none here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"device {name!r}: expected auto, cpu, cuda, cuda:1 or mps") from error
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= there.get(device.type, 0):
        raise UsageError(f"device {name!r}: torch {torch.__version__} finds none here; use --device cpu or auto")
    return device

"""Write the slides of the trap reader (tests/plugins), and let child processes find it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

PLUGINS = Path(__file__).parent / "plugins"
CHECKOUT = Path(__file__).parents[1]


def write_trap(
    path: Path, *, side: int = 2000, mpp: float = 0.5, harm: Mapping[str, object] | None = None, seed: int = 0
) -> Path:
    """Write a slide of `side` x `side` px whose tissue leaves a margin of a tenth; see tests/plugins/wsi_trap.py."""
    told: dict[str, object] = {"width": side, "height": side, "mpp": mpp, "seed": seed}
    if harm:
        told["harm"] = dict(harm)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"trap": told}))
    return path


def environment(home: Path) -> dict[str, str]:
    """Return an environment in which the trap reader is installed and the home folder is `home`."""
    found = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "WSI_", "HF_"))}
    paths = [str(PLUGINS), str(CHECKOUT)] + ([found["PYTHONPATH"]] if found.get("PYTHONPATH") else [])
    return {**found, "HOME": str(home), "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}

"""Figures of a run of `wsi-run train`, which benchmarks start as a user would."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HELD_OUT, BASELINE, LESS = "held-out cases", "baseline", "this model less the baseline"


def wsi_run(*arguments: str | Path) -> None:
    """Run the command; its words end the benchmark where it fails."""
    command = [sys.executable, "-m", "wsi.cli", *map(str, arguments), "--quiet"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{' '.join(command)}\nended with {ended.returncode}: {ended.stderr[-2000:]}")


def figures_of(run: Path) -> list[dict[str, Any]]:
    """Return the figures that a run folder tells."""
    told: list[dict[str, Any]] = json.loads((run / "figures.json").read_text())["figures"]
    return told


def figure(figures: list[dict[str, Any]], over: str, name: str) -> dict[str, Any]:
    """Return the first figure of that name over what begins so."""
    return next(one for one in figures if one["over"].startswith(over) and one["name"] == name)


def shown(told: dict[str, Any]) -> str:
    """Return `value (low–high)`."""
    return f"{told['value']:.3f} ({told['low']:.3f}–{told['high']:.3f})"

"""The form of every benchmark: a Markdown table, claims with their bounds, exit 1 when one doesn't hold."""

import argparse
import json
import platform
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim: the value found, and the bound that it must stay at or under."""

    claim: str
    value: float
    bound: float

    @property
    def holds(self) -> bool:
        return self.value <= self.bound


def arguments(about: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks share."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the claims as JSON: claim, value, bound, holds"
    )
    return parser


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def spread(values: Sequence[float], *, digits: int = 2) -> str:
    """Return `median (min–max)`."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def machine() -> str:
    """Return the processor, its cores and Python's version."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = f"{names[0]}, {len(names)} cores" if names else model
    return f"{model}; Python {platform.python_version()}"


def close(claims: Sequence[Claim], into: Path | None) -> None:
    """Print the claims, write them as JSON where asked, and exit: 1 when one doesn't hold."""
    rows = [(c.claim, f"{c.value:.4g}", f"≤ {c.bound:.4g}", "yes" if c.holds else "NO") for c in claims]
    print("\n" + table(("claim", "found", "bound", "holds"), rows) + f"\n\n{machine()}")
    if into:
        told = [{**asdict(claim), "holds": claim.holds} for claim in claims]
        into.write_text(json.dumps(told, indent=1) + "\n")
    sys.exit(0 if all(claim.holds for claim in claims) else 1)

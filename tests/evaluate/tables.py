"""Tables of predictions and labels as tools and people write them, drawn."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np


def write_csv(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    listed = list(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in listed for key in row)))
        writer.writeheader()
        writer.writerows(listed)
    return path


def slides(n: int, *, start: int = 0) -> list[str]:
    return [f"s{number:03}" for number in range(start, start + n)]


def binary_labels(n: int = 60, *, seed: int = 0, start: int = 0) -> list[dict[str, object]]:
    """Return labels of n slides, two a patient."""
    rng = np.random.default_rng(seed)
    return [
        {
            "slide": name,
            "patient": f"p{(start + at) // 2}",
            "malignant": ("benign", "malignant")[int(rng.random() < 0.4)],
            "site": ("north", "south")[int(rng.random() < 0.5)],
        }
        for at, name in enumerate(slides(n, start=start))
    ]


def chances(labels: Sequence[Mapping[str, object]], *, seed: int = 1, sharp: float = 1.5) -> np.ndarray:
    """Return probabilities `(n,)` of malignant that know something of the labels."""
    rng = np.random.default_rng(seed)
    truth = np.array([row["malignant"] == "malignant" for row in labels])
    return np.asarray(1 / (1 + np.exp(-sharp * (rng.normal(size=len(truth)) + 2 * truth - 1))))


def run_rows(labels: Sequence[Mapping[str, object]], values: np.ndarray) -> list[dict[str, object]]:
    """Return what a run's predictions.csv says of slides that lie in a folder."""
    return [
        {
            "id": f"{row['slide']}-0a1b", "path": f"lab/{row['slide']}.svs", "status": "ok", "code": "",
            "label": ("Benign", "Malignant")[int(value >= 0.5)], "probability": f"{value:.6g}",
            "refer": "yes" if 0.4 < value < 0.6 else "no", "tiles_wanted": "90",
            "P(Benign)": f"{1 - value:.6g}", "P(Malignant)": f"{value:.6g}",
            "notice": "Research use only. Not for diagnosis.",
        }
        for row, value in zip(labels, values, strict=True)
    ]  # fmt: skip

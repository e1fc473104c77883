"""Draws labels files and features folders as three tools leave them."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from wsi.results import Record
from wsi.train import Cohort, read_cohort


def write_csv(
    path: Path, rows: Sequence[Mapping[str, object]], *, delimiter: str = ",", encoding: str = "utf-8"
) -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_h5(
    path: Path, features: NDArray[np.float32], *, encoder: str = "enc", coords: NDArray[np.int32] | None = None
) -> Path:
    """As TRIDENT writes them: a name of the encoder, no identity."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = len(features)
    with h5py.File(path, "w") as file:
        file["features"] = features.astype(np.float32)
        file["features"].attrs["name"] = encoder
        file["coords"] = (
            np.stack([np.arange(count), np.zeros(count)], axis=1).astype(np.int32) if coords is None else coords
        )
    return path


def drawn_bag(seed: int, *, count: int = 6, dim: int = 8) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def features_folder(folder: Path, names: Iterable[str], *, count: int = 6, dim: int = 8) -> Path:
    """One bag of its own a name."""
    for seed, name in enumerate(names):
        write_h5(folder / f"{name}.h5", drawn_bag(seed, count=count, dim=dim))
    return folder


def out_folder(out: Path, slides: Mapping[str, str | None]) -> Path:
    """As wsi-run leaves it: relative path of each slide, and why it was refused (None: it wasn't)."""
    out.mkdir(parents=True, exist_ok=True)
    lines = []
    for seed, (path, code) in enumerate(slides.items()):
        name = f"{Path(path).stem}-{seed:04x}"
        if code is None:
            write_h5(out / "slides" / name / "features.h5", drawn_bag(seed))
        record = Record(slide=name, path=path, status="refused" if code else "ok", code=code or "")
        lines.append(json.dumps(record.model_dump()))
    (out / "results.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return out


def drawn_cohort(folder: Path, rows: Sequence[Mapping[str, object]], *, targets: Sequence[str] = ("label",)) -> Cohort:
    """Rows need slide, patient and the targets' columns."""
    features = features_folder(folder / "features", [str(row["slide"]) for row in rows])
    return read_cohort(write_csv(folder / "labels.csv", rows), features, targets=targets)

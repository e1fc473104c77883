"""Write small cohorts to disk, as the commands before training leave them."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.train.drawn import DIM, Bags
from wsi.encode import EncoderIdentity, write_features
from wsi.train import read_cohort
from wsi.train.cohort import Cohort
from wsi.train.settings import TrainConfig
from wsi.train.study import Study, make_study, plan_splits

IDENTITY = EncoderIdentity(
    id="nobodys-encoder",
    revision="1",
    weights_sha256="0" * 64,
    architecture="a",
    pooling="cls",
    transform="t",
    tile_px=32,
    mpp=0.5,
    precision="fp32",
    dim=DIM,
    licence="CC0-1.0",
)
SMALL: Mapping[str, object] = {
    "head": {"hidden": 8, "width": 4, "dropout": 0.0},
    "fit": {"epochs": 4, "batch": 8, "learning_rate": 0.02, "patience": 0},
    "splits": {"folds": 3, "validation": 0.25},
}


def config(**changes: Mapping[str, object] | int) -> TrainConfig:
    """Return settings that are quick, with changes of whole sections."""
    merged = {**SMALL, **changes}
    for name, section in changes.items():
        if isinstance(section, Mapping) and isinstance(SMALL.get(name), Mapping):
            merged[name] = {**SMALL[name], **section}  # type: ignore[dict-item]
    return TrainConfig.model_validate(merged)


def write_cohort(
    folder: Path,
    bags: Bags,
    columns: Mapping[str, Sequence[object]],
    *,
    patients: Sequence[str] | None = None,
    identity: EncoderIdentity = IDENTITY,
) -> tuple[Path, Path]:
    """Write features/<slide>.h5 and labels.csv; return the labels and the features folder."""
    names = [f"s{i:03d}" for i in range(len(bags.bags))]
    for name, bag in zip(names, bags.bags, strict=True):
        write_bag(folder / "features" / f"{name}.h5", bag, identity)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["slide", "patient", *columns])
        owners = patients or [f"p{i:03d}" for i in range(len(names))]
        writer.writerows(zip(names, owners, *columns.values(), strict=True))
    return folder / "labels.csv", folder / "features"


def write_bag(path: Path, bag: NDArray[np.float32], identity: EncoderIdentity) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coords = np.stack([np.arange(len(bag)), np.zeros(len(bag), int)], axis=1).astype(np.int32) * 64
    write_features(path, coords, [bag], identity=identity, attributes={"patch_size": identity.tile_px})


def cohort_of(
    folder: Path,
    bags: Bags,
    columns: Mapping[str, Sequence[object]],
    *,
    target: str,
    patients: Sequence[str] | None = None,
) -> Cohort:
    """Return a cohort that was written and read back."""
    labels, features = write_cohort(folder, bags, columns, patients=patients)
    return read_cohort(labels, features, targets=[target])


def study_of(cohort: Cohort, settings: TrainConfig) -> Study:
    """Return the study of a cohort's only target, with folds made as the settings say."""
    return make_study(cohort, plan_splits(cohort, settings), settings, target=cohort.targets[0].name)

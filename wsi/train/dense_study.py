"""A study of masks: what is planned before training, and what held-out images say after it."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from wsi.errors import ArtifactError
from wsi.evaluate.figure import Figure
from wsi.evaluate.mask_study import MaskStudy
from wsi.evaluate.masks import MaskScores, mask_scores
from wsi.publish import publish, sha256_bytes
from wsi.segment.grid import labels_on
from wsi.segment.infer import Reading, probabilities
from wsi.segment.postprocess import postprocessed
from wsi.segment.vote import Network
from wsi.train.cohort import Cohort
from wsi.train.dense_cases import Example, Prepared, cohort_of, find_examples
from wsi.train.dense_plan import Fingerprint, fingerprint, planned
from wsi.train.dense_settings import MaskConfig
from wsi.train.seal import Splits, read_splits, write_splits
from wsi.train.splits import make_splits

CONFIG, SPLITS, HELD_OUT = "config.yaml", "splits.json", "held-out.csv"


@dataclass(frozen=True, slots=True)
class MaskPlanned:
    """Images with masks, settings in which nothing is open, and the folds; all of it fixed before training."""

    examples: tuple[Example, ...]
    cohort: Cohort
    config: MaskConfig
    splits: Splits
    found: Fingerprint

    @property
    def data_digest(self) -> str:
        """sha256 over all images and masks."""
        return sha256_bytes("\n".join(one.sha256 for one in self.examples).encode())

    @property
    def patients(self) -> int:
        return len({one.patient for one in self.examples})

    def key(self, part: str) -> str:
        """Return what a checkpoint of a part of the study depends on."""
        told = [self.data_digest, self.splits.digest, part, self.config.learned_by()]
        return sha256_bytes(json.dumps(told, sort_keys=True).encode())


def plan_masks(images: Path, masks: Path, config: MaskConfig) -> MaskPlanned:
    """Pair the images with their masks, look at them, fill in the settings and deal the patients to folds.

    Raises:
        LabelsError: images without a mask, of several kinds, or of too few patients.
    """
    examples = find_examples(images, masks, config)
    found = fingerprint(examples, config.input)
    whole = planned(config, found)
    cohort = cohort_of(examples)
    splits = make_splits(
        cohort,
        scheme=whole.scheme,
        folds=whole.folds,
        holdout=whole.holdout,
        validation=0.0,
        seed=whole.seed,
    )
    return MaskPlanned(examples, cohort, whole, splits, found)


def begin(folder: Path, plan: MaskPlanned) -> None:
    """Write settings and folds before the first step; ArtifactError when the folder holds another study."""
    if (folder / SPLITS).exists():
        if read_splits(folder / SPLITS, plan.cohort).digest != plan.splits.digest:
            raise ArtifactError(f"{folder / SPLITS}: other folds are here; give another --run, or remove this folder")
    else:
        write_splits(folder / SPLITS, plan.cohort, plan.splits)
    text = yaml.safe_dump(plan.config.model_dump(mode="json", exclude_none=True), sort_keys=False, width=120)
    publish(folder / CONFIG, text.encode())


def reading_of(config: MaskConfig) -> Reading:
    """Return how the settings say that a field is read."""
    assert config.input is not None
    window = None if config.input.window is None else tuple(config.input.window)
    return Reading(window, config.input.overlap, tuple(config.network.flips), config.input.pad)


def marked(network: Network, image: Prepared, config: MaskConfig) -> NDArray[np.uint8]:
    """Return the labels `(*shape)` of an image as it was read, as the finished model would give them."""
    said = probabilities(network, image.values, reading_of(config))
    names = [one.name for one in config.structures]
    found = image.grid.with_values(said, channels=("background", *names))
    labels = labels_on(found, image.original, threshold=config.threshold)
    return postprocessed(labels, config.postprocess, names, view=image.view)


@dataclass(frozen=True, slots=True)
class HeldOutMask:
    """One structure of one image that the network never saw."""

    fold: str
    example: Example
    structure: str
    scores: MaskScores


def tested(network: Network, images: Sequence[Prepared], config: MaskConfig, *, fold: str) -> list[HeldOutMask]:
    """Return the scores of each structure of each image, on the grid it was read on."""
    rows = []
    for image in images:
        labels = marked(network, image, config)
        for label, structure in enumerate(config.structures, 1):
            scores = mask_scores(
                labels == label, image.truth == label, spacing=image.original.steps, tolerance=config.tolerance
            )
            rows.append(HeldOutMask(fold, image.example, structure.name, scores))
    return rows


def figures_of(rows: Sequence[HeldOutMask], config: MaskConfig) -> list[Figure]:
    """Return the figures of all structures, with intervals from draws of patients."""
    assert config.input is not None
    unit = "mm" if config.input.axes == 3 else "px"
    found = []
    for structure in config.structures:
        mine = [row for row in rows if row.structure == structure.name]
        patients = [row.example.patient for row in mine]
        study = MaskStudy(structure.name, [row.scores for row in mine], patients, unit, config.tolerance)
        found += study.figures(seed=config.seed)
    return found


def write_rows(path: Path, rows: Sequence[HeldOutMask]) -> None:
    """Publish a CSV, a line a structure of an image."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(
        ["fold", "image", "patient", "structure", "dice", "surface_dice", "hd95", "amount", "reference", "note"]
    )
    for row in rows:
        s = row.scores
        numbers = ["" if n is None else f"{n:.6g}" for n in (s.dice, s.surface_dice, s.far, s.amount, s.reference)]
        out.writerow([row.fold, row.example.id, row.example.patient, row.structure, *numbers, s.reason])
    publish(path, text.getvalue().encode())

"""How much a model of masks loses on held-out pictures in other light, blurred, compressed or of fewer px."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wsi.evaluate.figure import Figure
from wsi.evaluate.mask_study import mean_figure
from wsi.evaluate.masks import mask_scores
from wsi.field import Field
from wsi.preprocess import apply
from wsi.read.field_reader import read_field
from wsi.segment.vote import Network
from wsi.train.dense_cases import Prepared
from wsi.train.dense_settings import MaskConfig
from wsi.train.dense_study import marked
from wsi.train.picture_shifts import SHIFTS, Change

Lost = dict[str, list[tuple[str, str, float | None]]]
"""By shift: patient, structure and Dice."""


def shifted_dice(network: Network, images: Sequence[Prepared], config: MaskConfig) -> Lost:
    """Return the Dice of each structure on shifted pictures, one a patient; {} for volumes and gray pictures.

    Masks stay where they are: of a picture of half the px, too, they are compared on the grid of the file.
    """
    found: Lost = {}
    firsts = {image.example.patient: image for image in reversed(images)}
    for image in firsts.values():
        original = read_field([image.example.image]).field
        if len(original.axes) != 2 or len(original.values) != 3:
            return {}
        for name, change in SHIFTS.items():
            labels = marked(network, _shifted(image, original, change, config), config)
            for label, structure in enumerate(config.structures, 1):
                scores = mask_scores(
                    labels == label, image.truth == label, spacing=original.steps, tolerance=config.tolerance
                )
                found.setdefault(name, []).append((image.example.patient, structure.name, scores.dice))
    return found


def _shifted(image: Prepared, original: Field, change: Change, config: MaskConfig) -> Prepared:
    """Return an example as it would be seen if its file had been changed so."""
    assert config.input is not None
    pixels = np.clip(np.rint(original.values), 0, 255).astype(np.uint8).transpose(1, 2, 0)  # (h, w, 3)
    values = change(pixels).transpose(2, 0, 1)
    scales = [old / new for old, new in zip(original.shape, values.shape[1:], strict=True)]
    changed = original.moved(values, start=[(scale - 1) / 2 for scale in scales], scale=scales)
    return replace(image, grid=apply(changed, config.input.preprocess))


def shift_figures(found: Lost, config: MaskConfig) -> list[Figure]:
    """Return the mean Dice of each structure under each shift, with intervals from draws of patients."""
    figures = []
    for name, rows in found.items():
        for structure in config.structures:
            mine = [(patient, dice) for patient, of, dice in rows if of == structure.name]
            values, patients = [dice for _, dice in mine], [patient for patient, _ in mine]
            figures.append(mean_figure(f"Dice ({name}), {structure.name}", values, patients, seed=config.seed))
    return figures

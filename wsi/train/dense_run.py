"""Train a model of masks: a network a fold, tested on patients it never saw; then the one that is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch

from wsi.card import MaskCard
from wsi.evaluate.figure import Figure
from wsi.segment.unet import UNet
from wsi.segment.vote import Network, voting
from wsi.train.checkpoint import Epoch
from wsi.train.dense import MaskTraining
from wsi.train.dense_cases import Prepared, prepare
from wsi.train.dense_folder import write_mask_model
from wsi.train.dense_shifts import Lost, shift_figures, shifted_dice
from wsi.train.dense_study import HELD_OUT, HeldOutMask, MaskPlanned, begin, figures_of, tested, write_rows

ALL = "all"


class Told(Protocol):
    """Who is told how far the training is."""

    def epoch(self, part: str, epoch: Epoch) -> None: ...

    def tested(self, part: str, rows: Sequence[HeldOutMask]) -> None: ...


@dataclass(frozen=True, slots=True)
class MasksFinished:
    """What a study gave: scores of held-out images, their figures, and the card where a model folder was written."""

    rows: tuple[HeldOutMask, ...]
    figures: tuple[Figure, ...]
    card: MaskCard | None


def train_masks(plan: MaskPlanned, folder: Path, *, out: Path | None, told: Told | None = None) -> MasksFinished:
    """Train and test a network for each fold, and write the model folder `out`.

    Args:
        folder: of the run; config.yaml and splits.json are written before the first step, checkpoints after each
            epoch, held-out.csv at the end. The same call goes on after a stop.

    Raises:
        ArtifactError: `folder` holds another study.
        LabelsError, SlideError: an image or mask that can't be used.
    """
    begin(folder, plan)
    images = [prepare(one, plan.config) for one in plan.examples]
    rows: list[HeldOutMask] = []
    lost: Lost = {}
    network: Network | None = None
    for fold in plan.splits.folds:
        network = _trained(plan, images, fold.train, folder, fold.name, told)
        found = tested(network, [images[i] for i in fold.test], plan.config, fold=fold.name)
        rows += found
        if plan.config.shifts:
            for name, some in shifted_dice(network, [images[i] for i in fold.test], plan.config).items():
                lost.setdefault(name, []).extend(some)
        write_rows(folder / HELD_OUT, rows)
        if told is not None:
            told.tested(fold.name, found)
    figures = figures_of(rows, plan.config) + shift_figures(lost, plan.config)
    if out is None:
        return MasksFinished(tuple(rows), tuple(figures), None)
    if plan.config.final == ALL or network is None:
        network = _trained(plan, images, range(len(images)), folder, ALL, told)
    card = write_mask_model(plan, network, figures, rows, out)
    return MasksFinished(tuple(rows), tuple(figures), card)


def _trained(
    plan: MaskPlanned, images: Sequence[Prepared], train: Sequence[int], folder: Path, part: str, told: Told | None
) -> Network:
    """Return the vote of the members, each trained on these images from a seed of its own."""
    names = [part, *(f"{part} member {n}" for n in range(2, plan.config.network.members + 1))]
    members = []
    for place, name in enumerate(names):
        config = plan.config.model_copy(update={"seed": plan.config.seed + place})
        training = MaskTraining(images, train, config)
        checkpoint = folder / "checkpoints" / f"{name.replace(' ', '-')}.safetensors"
        watch = None if told is None else partial(told.epoch, name)
        training.run(checkpoint, key=plan.key(name), watch=watch)
        members.append(stored(training.network))
    return voting(members)


def stored(network: UNet) -> UNet:
    """Round the weights to half precision, as they are stored: what is tested is what is shipped."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.half())
    return network

"""The model card of masks for people."""

from collections.abc import Sequence

from wsi.card import MaskCard
from wsi.evaluate.figure import Figure
from wsi.train.dense_settings import MaskConfig
from wsi.train.dense_study import HeldOutMask, MaskPlanned

WORST = 3


def mask_text(plan: MaskPlanned, card: MaskCard, figures: Sequence[Figure], rows: Sequence[HeldOutMask]) -> str:
    """Return README.md of a model folder."""
    config = plan.config
    parts = [
        f"# {card.id}: {card.title}",
        "**Research use only.** Not a medical device, not for diagnosis or any decision about a patient.",
        f"Made by `wsi-run train-masks` from {len(plan.examples)} images of {plan.patients} patients. It marks "
        + ", ".join(one.name for one in config.structures)
        + ".",
        "## Data\n\n" + _bullets([*card.training.data, f"Licences: {'; '.join(card.training.data_licences)}"]),
        "## How good it is on patients it never saw\n\n" + _tested(plan) + "\n\n" + _table(figures),
        "## Where it was worst\n\n" + _bullets(_worst(rows, [one.name for one in config.structures])),
        "## How it was trained\n\n" + _bullets(_training(plan, card)),
    ]
    if config.model.notes:
        parts.insert(6, "## To know\n\n" + _bullets(config.model.notes))
    return "\n\n".join(parts) + "\n"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _tested(plan: MaskPlanned) -> str:
    folds = plan.splits.folds
    members = plan.config.network.members
    vote = f" of {members} members that vote" if members > 1 else ""
    dealt = (
        f"{len(folds)} networks{vote}, each trained on the patients of the other folds and tested on its own"
        if len(folds) > 1
        else f"one network{vote}, tested on {len(folds[0].test)} images of patients that were set apart before training"
    )
    kept = (
        "The network in this folder was trained in the same way on all images; nobody can test that one here."
        if plan.config.final == "all"
        else "The network in this folder is the one that was tested."
    )
    return (
        f"{dealt[0].upper()}{dealt[1:]} ({plan.splits.scheme}, by patient). {kept} Means over images on the grid of the "
        "files, 95 % intervals from draws of patients."
    )


def _table(figures: Sequence[Figure]) -> str:
    lines = ["| figure | value (95 % interval) | images |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {one.name} | {one.text()} | {one.n} |" for one in figures)])


def _worst(rows: Sequence[HeldOutMask], names: Sequence[str]) -> list[str]:
    """Return the lowest scores, without the images' names: a model is handed on, and a name may tell a patient."""
    found = []
    for name in names:
        mine = [row.scores.dice for row in rows if row.structure == name and row.scores.dice is not None]
        told = ", ".join(f"{dice:.3f}" for dice in sorted(mine)[:WORST])
        found.append(f"{name}, Dice: {told or 'no image has it'}")
    return found


def _training(plan: MaskPlanned, card: MaskCard) -> list[str]:
    config, network = plan.config, card.network
    assert config.input is not None
    steps = ", ".join(step.op for step in config.input.preprocess)
    members = f"; {network.members} of them vote" if network.members > 1 else ""
    mean = f"; running mean of the weights ({config.fit.keep:g})" if config.fit.keep else ""
    return [
        f"U-Net of {network.axes} axes, widths {', '.join(map(str, network.widths))}, stem {network.stem}{members}",
        f"Windows of {' x '.join(map(str, config.input.window or []))}; preprocessing: {steps or 'none'}",
        f"{config.fit.epochs} epochs of {config.fit.windows} views an image, batch {config.fit.batch}",
        f"AdamW at {config.fit.learning_rate:g} falling to 0; cross-entropy and Dice{mean}",
        f"Seed {_seeds(config)}; data {card.training.data_digest[:16]}, splits {card.training.split_digest[:16]}",
        "Found in the data: " + "; ".join(plan.found.lines()),
    ]


def _seeds(config: MaskConfig) -> str:
    last = config.seed + config.network.members - 1
    return f"{config.seed}" if last == config.seed else f"{config.seed} to {last}"

"""The model card for people: what a machine can know is filled in, what it can't is listed for a person."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from wsi.card import ModelCard
from wsi.train.cohort import told
from wsi.train.decisions import Decisions
from wsi.train.figures import Line
from wsi.train.final import Final
from wsi.train.heldout import HeldOut
from wsi.train.linear_head import LINEAR
from wsi.train.study import Study

OPEN = (
    "Intended use: who will use it, where, on whom, and what happens with its answer (CLAIM 3, TRIPOD+AI 3)",
    "How patients were chosen, from when to when, and who was left out (CLAIM 7-10, TRIPOD+AI 5-6)",
    "Who labeled the cases, by which criteria, with what agreement (CLAIM 14-18, TRIPOD+AI 8)",
    "Scanners, staining and laboratories (CLAIM 8)",
    "Why so many cases: sample size (CLAIM 20, TRIPOD+AI 10)",
    "Age, sex, ethnicity and stage of the patients; figures in groups of them (CLAIM 33, TRIPOD+AI 14, 20)",
    "A test on cases of another hospital (CLAIM 34, TRIPOD+AI 12d): there was none",
    "Ethics approval, funding, conflicts of interest, registration, protocol (CLAIM 40-42, TRIPOD+AI 18)",
    "Known failures: look at the cases that it got wrong (predictions.csv of the run) and describe them (CLAIM 36)",
)
SHOWN = 3
"""Findings of one kind; briefing.md of the run has more."""


def model_text(study: Study, card: ModelCard, lines: Sequence[Line], held: HeldOut, *, final: Final) -> str:
    """Return README.md of a model folder."""
    parts = [
        f"# {card.id}: {card.title}",
        "**Research use only.** Not a medical device, not for diagnosis or any decision about a patient.",
        _paragraph(
            f"Made by `wsi-run train` from {len(study.cohort)} cases of {_patients(study)} patients: {final.told}.",
            f"It reads features of `{card.encoder.name}` (tiles of {card.slide_input.tile_px} px at {card.slide_input.mpp:g} µm/px).",
            "This card was drafted from what the run knows; a person must complete it (last section).",
        ),
        "Not for:\n\n" + _bullets(card.use.not_for),
        "## Data\n\n" + _bullets(_data(study, card)),
        "## How good it is on cases it never saw\n\n" + _evaluation(study, lines),
        *(["## To know\n\n" + _bullets(notes)] if (notes := study.config.model.notes) else []),
        "## Decisions\n\n" + _bullets(_decisions(card, final.decisions)),
        "## How it was trained\n\n" + _bullets(_training(study, card)),
        "## Open: for a person to write\n\n" + _bullets(OPEN),
    ]
    missing = len(study.cohort) - len(held.places)
    if missing:
        parts.insert(6, f"{missing} of the cases were never tested: the figures say nothing of them.")
    return "\n\n".join(parts) + "\n"


def _paragraph(*sentences: str) -> str:
    return " ".join(sentences)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _patients(study: Study) -> int:
    return len({case.patient for case in study.cohort.cases})


def _data(study: Study, card: ModelCard) -> Iterator[str]:
    yield from card.training.data
    yield "Licences: " + ("; ".join(card.training.data_licences) or "not told")
    target = study.target
    yield f"Target: {target.name}, {target.kind}" + (f" ({', '.join(target.classes)})" if target.classes else "")
    if target.kind in ("binary", "multiclass", "ordinal"):
        counts = Counter(case.targets[target.columns[0]] for case in study.cohort.cases)
        yield "Cases: " + ", ".join(f"{counts[name]} {name}" for name in target.classes)
    if target.kind == "survival":
        events = int((study.labels[:, 1] > 0).sum())
        yield f"Events: {events} of {len(study.cohort)}"
    sites = Counter(case.site for case in study.cohort.cases if case.site)
    if sites:
        yield f"Sites: {len(sites)}, the largest with {max(sites.values())} cases"
    yield from (text for _, text in told(study.cohort.findings, most=SHOWN))


def _evaluation(study: Study, lines: Sequence[Line]) -> str:
    splits = study.splits
    head = (
        f"{splits.scheme}, {len(splits.folds)} folds, split by patient; intervals are 95 %. Calibration, threshold and "
        "referral of each fold come from its validation cases, never from those it is tested on.\n\n"
    )
    rows = ["| over | figure | value (95 % interval) | cases |", "|---|---|---|---|"]
    rows += [
        f"| {line.over} | {line.figure.name} | {line.figure.text()} | {line.figure.denominator} |" for line in lines
    ]
    note = (
        "\n\nThe figures are those of the folds' heads. What is shipped is made from them and has no test of its own; "
        "only cases of other patients can tell."
    )
    return head + "\n".join(rows) + note


def _decisions(card: ModelCard, made: Decisions) -> Iterator[str]:
    told = card.calibration
    if told.method == "none":
        yield "Not calibrated: what it says isn't to be read as a probability without a check."
    else:
        yield f"Calibration: temperature {told.temperature:.3g}, bias {told.bias:.3g}; fitted on {told.fitted_on}."
    for one in card.thresholds:
        yield f"Threshold {one.value:.3g}, {one.chosen_by}: sensitivity {one.sensitivity}, specificity {one.specificity}, {one.achieved_on}."
    if made.lacking:
        yield f"Could not be chosen as asked: {made.lacking}."
    if card.referral is not None:
        yield f"Refers {card.referral.low:.3g} to {card.referral.high:.3g}: {card.referral.reason}."
    if card.out_of_distribution is not None:
        yield f"Out of distribution beyond {card.out_of_distribution.limit:.3g}: {card.out_of_distribution.chosen_by}."


def _training(study: Study, card: ModelCard) -> Iterator[str]:
    if study.config.head.aggregate == LINEAR:
        yield from _linear(study, card)
    else:
        yield from _by_steps(study, card)
    yield f"Data {card.training.data_digest[:16]}, splits {card.training.split_digest[:16]}"
    yield ", ".join(f"{name} {version}" for name, version in card.training.versions.items())


def _linear(study: Study, card: ModelCard) -> Iterator[str]:
    linear, bags = study.config.linear, len(study.background.bags)
    yield f"Head: mean of the tiles and one linear layer, fitted with a ridge of {linear.ridge:g}; {card.head.members} network(s)"
    if bags:
        yield (
            f"Tiles like those of {bags} bags of background are passed over: attention falls by up to {linear.silence:g}, logits "
            f"by {linear.cost:g} a unit of log odds under {linear.margin:g}"
        )


def _by_steps(study: Study, card: ModelCard) -> Iterator[str]:
    spec, fit = study.spec, study.config.fit
    yield f"Head: {spec.aggregate}, {spec.hidden} hidden, dropout {spec.dropout:g}; {card.head.members} network(s)"
    yield (
        f"AdamW, rate {fit.learning_rate:g} ({fit.schedule}), decay {fit.weight_decay:g}, {fit.batch} bags a step, at most "
        f"{fit.epochs} epochs, patience {fit.patience}; seed {card.training.seed}"
    )
    if study.config.search.trials > 1:
        yield f"{study.config.search.trials} settings were tried inside each fold ({study.config.search.sampler})"

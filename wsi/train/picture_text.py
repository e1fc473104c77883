"""The card for people of a model of pictures: what the run knows; what it can't know is listed for a person."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from wsi.card import Head, ModelCard, Referral, Threshold
from wsi.train.figures import Line
from wsi.train.picture_run import PictureRun

OPEN = (
    "Intended use: who will use it, where, on whom, and what happens with its answer (CLAIM 3, TRIPOD+AI 3)",
    "How patients were chosen, and who was left out (CLAIM 7-10, TRIPOD+AI 5-6)",
    "Who labeled the pictures, by which criteria, with what agreement (CLAIM 14-18, TRIPOD+AI 8)",
    "Age, sex and ethnicity of the patients; figures in groups of them (CLAIM 33, TRIPOD+AI 14, 20)",
    "A test on pictures of another hospital, of patients as it is meant for (CLAIM 34, TRIPOD+AI 12d): this run made none",
)


def picture_text(run: PictureRun, card: ModelCard, audit: Sequence[Line]) -> str:
    """Return README.md of the model folder.

    Args:
        audit: what trivial traits tell alone.
    """
    notes = run.plan.config.model.notes
    parts = [
        f"# {card.id}: {card.title}",
        "**Research use only.** Not a medical device, not for diagnosis or any decision about a patient.",
        card.use.purpose + ".",
        "Not for:\n\n" + _bullets(card.use.not_for),
        "## Data\n\n" + _bullets(_data(run, card)),
        "## How good it is on pictures it never saw\n\n" + _figures(run),
        *(["## To know\n\n" + _bullets(notes)] if notes else []),
        "## Decisions\n\n" + _bullets(_decisions(run, card)),
        *(["## What tells the answer without looking at it\n\n" + _audit(audit, run)] if audit else []),
        "## How it was trained\n\n" + _bullets(_training(run, card)),
        "## Open: for a person to write\n\n" + _bullets(OPEN),
    ]
    return "\n\n".join(parts) + "\n"


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _data(run: PictureRun, card: ModelCard) -> Iterator[str]:
    yield from card.training.data
    yield "Licences of the data: " + ("; ".join(card.training.data_licences) or "not told")
    note = f" {card.licence.note}" if card.licence.note else ""
    yield f"Licence of the weights: {card.licence.weights}.{note}"
    patients = len({case.patient for case in run.plan.cohort.cases})
    if run.plan.cohort.tells_patients:
        yield f"{len(run.plan.cohort)} pictures of {patients} patients or lesions; copies of one picture are of one"
    else:
        yield (
            f"{len(run.plan.cohort)} pictures, {patients} of them different; which are of one patient isn't told, so each "
            "counts as one of its own, and copies of one picture together"
        )
    for asked in run.plan.config.asked:
        counts = Counter(case.targets[asked.column] for case in run.plan.cohort.cases)
        told = ", ".join(f"{counts[one.label]} {one.name}" for one in asked.classes)
        yield f"{asked.title or asked.column}: {told}"


def _figures(run: PictureRun) -> str:
    folds = len(run.plan.splits.folds)
    unit = "by patient" if run.plan.cohort.tells_patients else "by picture (one patient's may lie in several)"
    of = "logits" if run.plan.config.fit.hidden else "weights"
    head = (
        f"{folds} folds {unit}; each picture is read by a network that was trained on the other folds. Intervals are "
        "95 %. Calibration, threshold and referral of a fold are fitted on the held-out pictures of the other folds. The "
        f"model is the mean of the {folds} networks' {of}: it has seen all pictures, so these figures are its parts'."
    )
    parts = [head]
    for asked, learned in zip(run.plan.config.asked, run.learned, strict=True):
        parts.append(f"### {asked.title or asked.column}\n\n{_table(learned.lines, run)}")
    return "\n\n".join(parts)


def _table(lines: Sequence[Line], run: PictureRun) -> str:
    """Return figures as a table; where patients aren't told, what counts as one is a picture with its copies."""
    whose = "patients" if run.plan.cohort.tells_patients else "different"
    rows = ["| over | figure | value (95 % interval) | pictures |", "|---|---|---|---|"]
    rows += [
        f"| {line.over} | {line.figure.name} | {line.figure.text()} | {line.figure.denominator.replace('patients', whose)} |"
        for line in lines
    ]
    return "\n".join(rows)


def _decisions(run: PictureRun, card: ModelCard) -> Iterator[str]:
    yield from _of_head(run.plan.config.asked[0].title, card.head, card.thresholds, card.referral)
    for one in card.also:
        yield from _of_head(one.title, one.head, one.thresholds, one.referral)
    for asked, learned in zip(run.plan.config.asked, run.learned, strict=True):
        if learned.decisions.lacking:
            yield f"{asked.title or asked.column}: could not be chosen as asked: {learned.decisions.lacking}."
    if card.out_of_distribution is not None:
        told = card.out_of_distribution
        yield f"Unlike its training pictures beyond a distance of {told.limit:g}: {told.chosen_by}."
    temperatures = [("", card.calibration), *((f"{one.title}: ", one.calibration) for one in card.also)]
    for name, told_c in temperatures:
        yield f"{name}Calibration: temperature {told_c.temperature:.3g}, bias {told_c.bias:.3g}; on {told_c.fitted_on}."


def _of_head(title: str, head: Head, thresholds: Sequence[Threshold], referral: Referral | None) -> Iterator[str]:
    name = f"{title}: " if title else ""
    for one in thresholds:
        reached = f"sensitivity {one.sensitivity}, specificity {one.specificity}"
        yield f"{name}Threshold {one.value:.3g} ({one.chosen_by}): {reached}, {one.achieved_on}."
    if referral is not None:
        positive = head.classes[head.positive_index].name
        yield (
            f"{name}A person is asked where P({positive}) lies from {referral.low:.3g} to {referral.high:.3g}: "
            f"{referral.reason}."
        )
    else:
        yield f"{name}No rule asks for a person by this alone."


def _audit(audit: Sequence[Line], run: PictureRun) -> str:
    head = (
        "Each trait alone through a logistic regression, tested on pictures it wasn't fitted on. A trait that tells much "
        "may be what a model learned."
    )
    return f"{head}\n\n{_table(audit, run)}"


def _training(run: PictureRun, card: ModelCard) -> Iterator[str]:
    config, fit = run.plan.config, run.plan.config.fit
    steps = ", ".join(step.op for step in config.input.preprocess)
    yield f"`wsi-run finetune LABELS --pictures FOLDER -c SETTINGS -o models/{card.id}`"
    yield f"From `{config.encoder}` ({run.plan.encoder_sha256[:16]}); pictures: {steps or 'as they are'}; {config.side_px} px"
    if config.layers:
        yield f"The encoder says {run.plan.card.dim} numbers: mean, spread and middle of each of its layers' maps"
    if config.turns:
        yield "Each picture is read in quarter turns and mirrored as well: the model says the mean of the eight views"
    yield from _regression(run) if fit.train == "classifier" else _steps(run)
    yield f"Data {card.training.data_digest[:16]}, folds {card.training.split_digest[:16]}"
    yield ", ".join(f"{name} {version}" for name, version in card.training.versions.items())


def _regression(run: PictureRun) -> Iterator[str]:
    fit = run.plan.config.fit
    if fit.hidden:
        yield (
            f"The encoder stays as it was; over it a hidden layer of {fit.hidden} a fold, "
            f"{fit.epochs} epochs of {fit.batch} pictures a step, learning rate {fit.learning_rate:g} ({fit.schedule}), weight "
            f"decay {fit.weight_decay:g}, dropout {fit.dropout:g}; the logits of all folds are averaged"
        )
        return
    ridge = fit.ridge
    yield f"The encoder stays as it was; regression with a ridge of {ridge:g} on what it says, to its one optimum"


def _steps(run: PictureRun) -> Iterator[str]:
    config, fit, views = run.plan.config, run.plan.config.fit, run.plan.config.views
    yield (
        f"AdamW, rate {fit.learning_rate:g} ({fit.schedule}), {fit.layer_decay:g} of it for each block further down, decay "
        f"{fit.weight_decay:g}, {fit.batch} pictures a step, {fit.epochs} epochs, dropout {fit.dropout:g}, mixup {fit.mix:g}; "
        f"running mean of the weights ({fit.keep:g}); seed {config.seed}"
    )
    yield "Views: " + ", ".join(f"{name} {value}" for name, value in views.model_dump().items())

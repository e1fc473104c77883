"""`wsi-run evaluate`: how good predictions are, with intervals, from labels that the model never saw."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from wsi.cli.options import FILE, with_options
from wsi.printable import spelled_name

_COLUMNS = [
    click.option("--target", metavar="COLUMN[:KIND[:NAMES]]", help="Column of the truth, and what it is: grade, grade:ordinal:G1,G2,G3, er:binary:neg,pos or os:survival:months,dead. Kinds: binary, multiclass, ordinal, regression, survival."),
    click.option("--case", metavar="COLUMN", help="Column that names the slide or case; found by its usual names."),
    click.option("--patient", metavar="COLUMN", help="Column of the patient: cases of one patient are no independent evidence."),
    click.option("--score", "scores", multiple=True, metavar="[CLASS=]COLUMN", help="Column of predictions, where it isn't P(class), p_class or the like; once a class."),
    click.option("--positive", metavar="CLASS", help="The class that sensitivity is of."),
    click.option("--means", multiple=True, metavar="LABEL=CLASS", help="What a label of another name means: benign='Not malignant'. May be repeated."),
    click.option("--leave-out", multiple=True, metavar="LABEL", help="Leave cases of this label out; they are counted and named. May be repeated."),
    click.option("--logits", is_flag=True, help="The predictions are logits or log odds, no probabilities."),
]  # fmt: skip
_CHOICES = [
    click.option("--threshold-from", "validation", type=FILE, metavar="CSV", help="Predictions of validation cases to choose the threshold and the referral rule on; none of their patients may be tested."),
    click.option("--validation-labels", type=FILE, metavar="CSV", help="Labels of the validation cases, where --labels doesn't have them."),
    click.option("--rule", default="youden", show_default=True, metavar="RULE", help="How to choose: youden, sensitivity>=0.95 or specificity>=0.9."),
    click.option("--alpha", type=float, default=0.1, show_default=True, help="Share of error that the referral rule allows."),
    click.option("--subgroup", "subgroups", multiple=True, metavar="COLUMN", help="Column of the labels to tell groups apart by. May be repeated."),
    click.option("--against", multiple=True, type=FILE, metavar="CSV", help="Another model's predictions to compare on the same cases. May be repeated."),
    click.option("-o", "--out", type=FILE, metavar="DIR", help="Folder for the results; else PREDICTIONS/evaluation, or evaluation beside the CSV."),
    click.option("--json", "as_json", is_flag=True, help="Print figures.json on stdout, for programs."),
]  # fmt: skip


@click.command("evaluate")
@click.argument("predictions", type=FILE)
@click.option("--labels", type=FILE, metavar="CSV", help="A line a case with the truth; else PREDICTIONS has it.")
@with_options([*_COLUMNS, *_CHOICES])
def command(predictions: Path, labels: Path | None, **given: Any) -> int:
    """Measure predictions against labels: every figure with its interval and denominator, or why there is none.

    PREDICTIONS is the OUT of a run, or a CSV of any tool with a column of probabilities a class.

    \b
      wsi-run evaluate OUT --labels labels.csv --target malignant
      wsi-run evaluate OUT --labels labels.csv --target malignant --means carcinoma=Malignant --subgroup site
      wsi-run evaluate test.csv --labels labels.csv --target grade:ordinal:G1,G2,G3 --against other.csv
      wsi-run evaluate test.csv --labels labels.csv --target er --threshold-from validation.csv --rule 'sensitivity>=0.95'
      wsi-run evaluate test.csv --target os:survival:months,dead --score risk -o EVALUATION

    Writes report.html, figures.csv and figures.json. A threshold is never chosen on the cases that are tested: it is
    the model's own, or 0.5, or that of --threshold-from.
    """
    import json
    from dataclasses import replace

    from wsi.evaluate.join import read_study
    from wsi.evaluate.sheet import make_sheet
    from wsi.evaluate.write import as_json, write_evaluation

    question = _question(given)
    study = read_study(predictions, labels, question)
    _check_positive(study, question)
    if study.has_classes:  # the others are asked the same, in whatever order their columns stand
        question = replace(question, kind=study.kind, names=study.classes)
    threshold, rule = _chosen(predictions, labels, given, replace(question, subgroups=()))
    others = {name: read_study(path, labels, question) for name, path in _told_apart(given["against"]).items()}
    sheet = make_sheet(study, threshold=threshold, rule=rule, others=others)
    read = {"predictions": predictions, "labels": labels, "validation": given["validation"]}
    sources = {what: spelled_name(str(path)) for what, path in read.items() if path is not None}
    out = given["out"] or _beside(predictions)
    files = write_evaluation(out, sheet, sources=sources)
    if given["as_json"]:
        click.echo(json.dumps(as_json(sheet, sources), ensure_ascii=False))
        return 0
    from wsi.cli.evaluation import tell

    tell(sheet, files)
    return 0


def _question(given: dict[str, Any]) -> Any:
    """Return what the options ask of the tables."""
    from wsi.errors import UsageError
    from wsi.evaluate.question import Question, parse_pairs, parse_target
    from wsi.table import plain_class

    target, kind, names = parse_target(given["target"]) if given["target"] else (None, None, ())
    means = {plain_class(label): one for label, one in parse_pairs("--means", given["means"])}
    if "" in means:
        raise UsageError(f"--means {means['']!r}: expected LABEL=CLASS")
    return Question(
        target=target,
        kind=kind,
        names=names,
        positive=given["positive"],
        scores=parse_pairs("--score", given["scores"]),
        case=given["case"],
        patient=given["patient"],
        subgroups=given["subgroups"],
        leave_out=frozenset(map(plain_class, given["leave_out"])),
        means=means,
        logits=given["logits"],
    )


def _check_positive(study: Any, question: Any) -> None:
    """Raise UsageError for a --positive that the target has no use for, or contradicts."""
    from wsi.errors import UsageError
    from wsi.evaluate.question import place_of

    if question.positive is None:
        return
    if study.kind != "binary":
        raise UsageError(
            f"--positive {question.positive}: no class of this target, which is {study.kind}, is the positive one; leave it out"
        )
    if question.names and place_of(question.positive, study.classes, {}) != 1:
        raise UsageError(
            f"--positive {question.positive}: --target names {study.classes[1]} last, which makes it the positive class; "
            "leave one of the two out"
        )


def _chosen(predictions: Path, labels: Path | None, given: dict[str, Any], question: Any) -> tuple[Any, Any]:
    """Return the threshold and the referral rule: chosen on validation cases, or stated by the run's model."""
    from wsi.evaluate.join import read_study
    from wsi.evaluate.referral import fit_referral
    from wsi.evaluate.stated import run_threshold
    from wsi.evaluate.threshold import choose_threshold

    if not given["validation"]:
        _refuse_idle()
        positive = question.names[-1] if question.names else None
        return (run_threshold(predictions, positive=positive) if predictions.is_dir() else None), None
    validation = read_study(given["validation"], given["validation_labels"] or labels, question).validation()
    rule = fit_referral(validation, alpha=given["alpha"])
    if validation.kind != "binary":
        return None, rule
    threshold = choose_threshold(validation, rule=given["rule"])
    return threshold, rule.with_calls(threshold, validation)


def _refuse_idle() -> None:
    """Raise UsageError for an option that does nothing without validation cases."""
    from wsi.errors import UsageError

    for name, option in (("rule", "--rule"), ("alpha", "--alpha"), ("validation_labels", "--validation-labels")):
        if click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UsageError(
                f"{option}: nothing is chosen on the cases that are tested; give validation cases with --threshold-from"
            )


def _told_apart(paths: Sequence[Path]) -> dict[str, Path]:
    """Return files by their own names, with as many of their folders before them as tell all of them apart."""
    depth = next(k for k in itertools.count(1) if len({path.parts[-k:] for path in paths}) == len(set(paths)))
    return {spelled_name(str(Path(*path.parts[-depth:]))): path for path in paths}


def _beside(predictions: Path) -> Path:
    from wsi.evaluate.write import FOLDER

    return (predictions if predictions.is_dir() else predictions.parent) / FOLDER

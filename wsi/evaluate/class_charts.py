"""The plots of targets with classes: ROC, precision and recall, reliability, decision curve."""

import numpy as np

from wsi.evaluate.agreement import confusion
from wsi.evaluate.binary import Floats
from wsi.evaluate.calibration import reliability
from wsi.evaluate.chart import Chart, abstain_chart, confusion_chart, missing, short
from wsi.evaluate.decision import decision_curve
from wsi.evaluate.delong import auc_interval
from wsi.evaluate.figure import Figure
from wsi.evaluate.predictions import Test
from wsi.evaluate.roc import average_precision, precision_recall_curve, roc_curve
from wsi.evaluate.sheet import Sheet
from wsi.evaluate.study import Study
from wsi.evaluate.svg import COLORS, DASHES, SOFT, Axes, Key, dots, drawing, legend, line, whiskers

_MOST_LINES = len(COLORS)
_BINS = 50


def class_charts(sheet: Sheet) -> list[Chart]:
    """Return the plots of a target with classes."""
    study = sheet.study
    test = study.test()
    called = np.zeros(study.n, np.int64) if sheet.called is None else sheet.called
    right = called == study.truth
    found = [_roc(sheet, test)]
    if study.kind == "binary":
        found += [
            _recall(sheet, test),
            _reliability(study.truth, test.probabilities[:, 1], study),
            _decision(study, test),
        ]
    else:
        top = test.probabilities.argmax(axis=1) == study.truth
        found.append(_reliability(top, test.probabilities.max(axis=1), study))
    found.append(confusion_chart(confusion(study.truth, called, classes=len(study.classes)), study.classes))
    found.append(abstain_chart(right, test.probabilities.max(axis=1)))
    return found


def _roc(sheet: Sheet, test: Test) -> Chart:
    study = sheet.study
    if study.kind == "binary":
        scored = {"Model": (study.truth == 1, test.score)}
    else:
        scored = {
            one: (study.truth == k, test.probabilities[:, k]) for k, one in enumerate(study.classes[:_MOST_LINES])
        }
    axes = Axes((0, 1), (0, 1), "1 - specificity", "Sensitivity")
    parts, keys, told = [line(axes, [0, 1], [0, 1], color=SOFT, dash="3 4", width=1.4)], [], []
    for at, (name, (labels, scores)) in enumerate(scored.items()):
        curve = roc_curve(labels, scores)
        figure = auc_interval(labels, scores, patients=study.patients)
        told.append(f"{name} AUC {figure.text()}")
        keys.append(Key(f"{short(name, 30)}: AUC {figure.text()}", COLORS[at], DASHES[at]))
        if not curve.reason:
            parts.append(line(axes, curve.x, curve.y, color=COLORS[at], dash=DASHES[at]))
    for at, contest in enumerate(sheet.contests[: _MOST_LINES - 2] if study.kind == "binary" else (), start=1):
        curve = roc_curve(contest.other.truth, contest.other.test().score)
        figure = contest.comparisons[0].second
        told.append(f"{contest.name} AUC {figure.text()}")
        keys.append(Key(f"{short(contest.name, 30)}: AUC {figure.text()}", COLORS[at + 1], DASHES[at]))
        if not curve.reason:
            parts.append(line(axes, curve.x, curve.y, color=COLORS[at + 1], dash=DASHES[at], width=1.8))
    if study.kind == "binary":
        sensitivity, specificity = (one.value for one in sheet.sections[1].figures[:2])
        if sensitivity is not None and specificity is not None:
            called = f"Threshold {sheet.threshold.value:.3g}" if sheet.threshold else "As the predictions call"
            parts.append(dots(axes, [1 - specificity], [sensitivity], color=COLORS[1], radius=6))
            keys.append(Key(called, COLORS[1], dot=True))
    keys.append(Key("A guess: 0.5", SOFT, "3 4"))
    body = drawing(axes, parts, about="ROC curve: " + "; ".join(told)) + legend(keys)
    return Chart("ROC", body, "Share of positive cases found, over the share of negative cases called by mistake.")


def _recall(sheet: Sheet, test: Test) -> Chart:
    curve = precision_recall_curve(sheet.study.truth, test.score)
    if curve.reason:
        return missing("Precision and recall", curve.reason)
    share = float(np.mean(sheet.study.truth))
    axes = Axes((0, 1), (0, 1), "Recall (sensitivity)", "Precision (positive predictive value)")
    figure = next((one for one in sheet.sections[0].figures if one.name == "AUPRC"), None)
    figure = figure or average_precision(sheet.study.truth, test.score)
    parts = [
        line(axes, [0, 1], [share, share], color=SOFT, dash="3 4", width=1.4),
        line(axes, np.append(0, curve.x), np.append(curve.y[0], curve.y), color=COLORS[0]),
    ]
    keys = [Key(f"Model: AUPRC {figure.text()}", COLORS[0]), Key(f"A guess: {share:.3f}", SOFT, "3 4")]
    body = drawing(axes, parts, about=f"Precision over recall, AUPRC {figure.text()}") + legend(keys)
    return Chart("Precision and recall", body, "What a positive call is worth, over the share of positive cases found.")


def _reliability(labels: Floats, chances: Floats, study: Study) -> Chart:
    bins = reliability(labels, chances, patients=study.patients)
    if not bins:
        return missing("Reliability", "a probability isn't a number")
    said = [one.said for one in bins]
    happened: list[Figure] = [one.happened for one in bins]
    axes = Axes((0, 1), (0, 1), "Probability that was said", "Share that happened")
    counts = np.histogram(chances, bins=_BINS, range=(0, 1))[0]
    shown = counts / max(int(counts.max()), 1) * 0.12
    bars = "".join(_bar(axes, at / _BINS, float(size)) for at, size in enumerate(shown) if size)
    values = [one.value or 0.0 for one in happened]
    low, high = [one.low or 0.0 for one in happened], [one.high or 0.0 for one in happened]
    parts = [
        bars,
        line(axes, [0, 1], [0, 1], color=SOFT, dash="3 4", width=1.4),
        whiskers(axes, said, low, high, color=COLORS[0]),
        line(axes, said, values, color=COLORS[0], width=1.6),
        dots(axes, said, values, color=COLORS[0]),
    ]
    least, most = min(one.n for one in happened), max(one.n for one in happened)
    sizes = f"{least}" if least == most else f"{least}–{most}"
    several = "the likeliest class, " if study.kind != "binary" else ""
    keys = [
        Key(f"{several}{len(bins)} bins of {sizes} cases, 95 % intervals", COLORS[0], dot=True),
        Key("As it should be", SOFT, "3 4"),
    ]
    about = "Reliability: " + "; ".join(f"said {s:.2f}, happened {v:.2f}" for s, v in zip(said, values, strict=True))
    note = "Dots on the diagonal: probabilities say what happens. Bars below: how often each probability is said."
    return Chart("Reliability", drawing(axes, parts, about=about) + legend(keys), note)


def _bar(axes: Axes, start: float, size: float) -> str:
    left, right = (float(axes.left(one)) for one in (start, start + 1 / _BINS))
    top, bottom = float(axes.top(size)), float(axes.top(0))
    return (
        f'<rect x="{left + 0.5:.1f}" y="{top:.1f}" width="{right - left - 1:.1f}" height="{bottom - top:.1f}" '
        f'fill="{COLORS[0]}" opacity=".22"/>'
    )


def _decision(study: Study, test: Test) -> Chart:
    curve = decision_curve(study.truth, test.probabilities[:, 1])
    if curve.reason:
        return missing("Decision curve", curve.reason)
    most = float(np.ceil(max(curve.model.max(), curve.treat_all.max(), 0.05) * 20) / 20)
    axes = Axes((0, 1), (-most / 4, most), "Probability at which one would act", "Net benefit per case")
    shown = curve.treat_all >= axes.y[0]
    parts = [
        line(axes, [0, 1], [0, 0], color=SOFT, dash="3 4", width=1.4),
        line(axes, curve.thresholds[shown], curve.treat_all[shown], color=COLORS[2], dash=DASHES[1], width=1.8),
        line(axes, curve.thresholds, curve.model, color=COLORS[0]),
    ]
    keys = [
        Key("Act as the model says", COLORS[0]),
        Key("Act on everyone", COLORS[2], DASHES[1]),
        Key("Act on no one", SOFT, "3 4"),
    ]
    at = int(np.argmin(np.abs(curve.thresholds - 0.2)))
    about = f"Decision curve: at 0.20 the model's net benefit is {curve.model[at]:.3f}, acting on everyone {curve.treat_all[at]:.3f}"
    note = "The model is of use where its line lies above both others: true positives, less false ones at their price."
    return Chart("Decision curve", drawing(axes, parts, about=about) + legend(keys), note)

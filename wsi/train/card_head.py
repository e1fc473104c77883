"""The card's head section of a trained study, and what its networks say of an example."""

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wsi.card import Calibration
from wsi.mil import Head, class_probabilities, cumulative_logits, discrete_curve, risk_within
from wsi.train.final import Final
from wsi.train.heldout import HeldOut
from wsi.train.study import Study
from wsi.train.tasks import Floats, is_known

BLUE, RED = (64, 128, 192), (200, 40, 40)
TIMES = 8
"""Times at which a Cox model's baseline is told."""


def head_section(study: Study, final: Final, held: HeldOut, *, members: int) -> dict[str, Any]:
    """Return the section `head` of the card."""
    spec, task = final.candidate.spec, study.task
    found: dict[str, Any] = {
        "type": task.kind,
        "aggregate": spec.aggregate,
        "activation": spec.activation,
        "members": members,
        "heads": spec.heads,
        "landmarks": spec.landmarks,
        "link": task.link if task.kind == "ordinal" else "cumulative",
        "classes": [
            {"name": name, "color": list(color), "code": study.config.model.codes.get(name)}
            for name, color in zip(task.classes, colors(len(task.classes)), strict=True)
        ],
    }
    if task.kind == "regression":
        found["quantity"] = {"name": study.target.name, "center": task.center, "scale": task.scale}
    if task.kind == "survival":
        found["survival"] = _survival(study, held)
    return found


def colors(count: int) -> list[tuple[int, int, int]]:
    """Return a color a class: blue and red for two, else hues from blue through green to red."""
    if count == 2:
        return [BLUE, RED]
    hues = np.linspace(0.6, 0.0, max(count, 1))[:count]
    return [tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.75, 0.8)) for hue in hues]  # type: ignore[misc]


def _survival(study: Study, held: HeldOut) -> dict[str, Any]:
    time, event = study.target.columns
    told = {"event": event, "unit": f"as in the column {time}"}
    if study.task.edges:
        return {"model": "discrete-time", **told, "times": list(study.task.edges)}
    labels = study.labels[held.places]
    known = is_known(labels, study.task)
    times, baseline = cox_baseline(labels[known], held.raw[known, 0])
    return {"model": "cox", **told, "times": times, "baseline": baseline}


def cox_baseline(labels: Floats, log_hazards: Floats) -> tuple[list[float], list[float]]:
    """Return times (quantiles of the events) and the share that lives beyond each at a log hazard of 0.

    Args:
        labels: `(n, 2)` time and event. log_hazards: `(n,)`, of cases that their heads never saw.

    Source: Breslow 1972: the cumulative hazard rises at each event by 1 / the hazards of all still at risk.
    """
    times, events = labels[:, 0], labels[:, 1] > 0
    happened = np.unique(times[events])
    if not len(happened):
        return [], []
    hazards = np.exp(log_hazards)
    rises = [(times[events] == t).sum() / hazards[times >= t].sum() for t in happened]
    shares = np.exp(-np.cumsum(rises))
    wanted = np.unique(np.quantile(times[events], np.arange(1, TIMES + 1) / (TIMES + 1), method="inverted_cdf"))
    wanted = wanted[wanted > 0]
    found = [round(float(shares[happened <= t][-1]), 6) for t in wanted]
    return [float(t) for t in wanted], found


def shown(
    example: Tensor, heads: Sequence[Head], section: Mapping[str, Any], calibration: Calibration
) -> dict[str, Any]:
    """Return the selftest's `probability` or `value`: the mean over the networks for a bag `(N, D)`."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as a model is read: more threads, other last bits
    try:
        logits = [head.read(example).logits.double() / calibration.temperature + calibration.bias for head in heads]
    finally:
        torch.set_num_threads(before)
    if section["classes"]:
        plain = [cumulative_logits(one) if section["link"] == "corn" else one for one in logits]
        said = torch.stack([class_probabilities(one, section["type"]) for one in plain]).mean(dim=0)
        return {"probability": [round(float(p), 6) for p in said]}
    if section["type"] == "regression":
        values = [one[0] * section["quantity"]["scale"] + section["quantity"]["center"] for one in logits]
    elif section["survival"]["model"] == "cox":
        values = [one[0] for one in logits]
    else:
        values = [risk_within(discrete_curve(one)[:-1]) for one in logits]
    return {"value": round(float(torch.stack(values).mean()), 6)}

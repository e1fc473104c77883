"""Write the model folder: weights, card, selftest and the model card for people."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import yaml
from torch import Tensor

from wsi import __version__
from wsi.card import Calibration, EncoderReference, ModelCard
from wsi.errors import UsageError
from wsi.mil import Head
from wsi.mil.familiar import Familiar
from wsi.model_folder import encoder_card, find_folder
from wsi.publish import publish, sha256_bytes
from wsi.train.card_head import head_section, shown
from wsi.train.decisions import Decisions
from wsi.train.familiar import familiar_arrays, familiar_limit, familiar_section, fit_familiar
from wsi.train.figures import Line
from wsi.train.final import Final
from wsi.train.heldout import HeldOut
from wsi.train.model_text import model_text
from wsi.train.probe import mean_rows
from wsi.train.study import Study
from wsi.train.tasks import Floats

SELFTEST_TILES = 6
PACKAGES = ("numpy", "scipy", "torch", "timm")
NOT_FOR = (
    "diagnosis, screening or any decision about a patient",
    "stains, organs, scanners and patients unlike those of its training cases",
)


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the features were made with and from."""

    name: str
    sha256: str
    tile_px: int
    mpp: float


def encoded_with(study: Study) -> Encoded:
    """Return the encoder of the study's features.

    Raises:
        UsageError: the features don't tell it and the settings name none, or one that isn't theirs.
    """
    identity, named = study.bags.identity, study.config.model.encoder
    if identity is not None:
        return Encoded(identity.id, identity.weights_sha256, identity.tile_px, identity.mpp)
    if named is None:
        raise UsageError(
            "the features don't say which encoder made them; name it with --encoder, encode with `wsi-run encode`, "
            "or leave out -o to train without a model folder"
        )
    card = encoder_card(find_folder(named, "encoder"))
    if card.dim != study.bags.dim or card.weights.sha256 is None:
        raise UsageError(
            f"--encoder {named}: gives features of {card.dim} by weights {card.weights.sha256 or 'nobody knows'}; "
            f"these are of {study.bags.dim}"
        )
    return Encoded(named, card.weights.sha256, card.input.tile_px, card.input.mpp)


def write_model(
    study: Study,
    final: Final,
    held: HeldOut,
    lines: Sequence[Line],
    out: Path,
) -> ModelCard:
    """Write the four files of the model folder and return its card; the same study gives the same bytes.

    Raises:
        UsageError: see `encoded_with`.
    """
    encoder, share = encoded_with(study), study.config.model.familiar
    rows = mean_rows(study.cases.read, len(study.cohort))
    rule, limit = _familiar(study, rows)
    weights = safetensors.torch.save(dict(sorted({**_members(final.heads), **familiar_arrays(rule)}.items())))
    example = _example(final.heads[0], seed=study.config.seed)
    calibration = calibration_section(final.decisions)
    section = head_section(study, final, held, members=len(final.heads))
    card = ModelCard.model_validate(
        {
            "kind": "model",
            "id": out.name,
            "version": "1",
            "title": study.config.model.title or f"{study.target.name} from {encoder.name} features (research)",
            "licence": {"weights": study.config.model.licence},
            "use": {
                "purpose": study.config.model.purpose or f"Research on {study.target.name}",
                "not_for": [*NOT_FOR, *study.config.model.not_for],
                "status": "research use only",
            },
            "input": {"stain": study.config.model.stain, "tile_px": encoder.tile_px, "mpp": encoder.mpp},
            "encoder": EncoderReference(name=encoder.name, sha256=encoder.sha256).model_dump(),
            "head": section,
            "weights_sha256": sha256_bytes(weights),
            "calibration": calibration.model_dump(exclude_none=True),
            **decided_section(final.decisions, lines),
            **familiar_section(
                rule, limit, f"{share:.1%} of the held-out cases lie within it, by a rule that saw none of their fold"
            ),
            "evaluation": evaluation_section(study, lines),
            "training": training_section(study),
            "selftest": {"file": "selftest.safetensors", **shown(example, final.heads, section, calibration)},
        }
    )
    publish(out / "weights.safetensors", weights)
    publish(out / "selftest.safetensors", safetensors.torch.save({"features": example}))
    text = yaml.safe_dump(
        card.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True, width=120
    )
    publish(out / "README.md", model_text(study, card, lines, held, final=final).encode())
    publish(out / "model.yaml", text.encode())
    return card


def _members(heads: Sequence[Head]) -> dict[str, Tensor]:
    if len(heads) == 1:
        return {name: tensor.contiguous() for name, tensor in heads[0].state_dict().items()}
    return {
        f"members.{i}.{name}": tensor.contiguous()
        for i, head in enumerate(heads)
        for name, tensor in head.state_dict().items()
    }


def _familiar(study: Study, rows: Floats) -> tuple[Familiar | None, float | None]:
    """Return the rule of all cases and its limit; both None where there is none."""
    share = study.config.model.familiar
    limit = familiar_limit(rows, study.splits.folds, share=share) if share else None
    rule = fit_familiar(rows) if limit is not None else None
    return rule, limit if rule is not None else None


def _example(head: Head, *, seed: int) -> Tensor:
    """Return drawn features `(6, D)` of the scale of the training cases': no tile of a patient."""
    drawn = np.random.default_rng(seed).normal(0, 1, (SELFTEST_TILES, head.dim)).astype(np.float32)
    return torch.from_numpy(drawn) * head.norm.std + head.norm.mean


def calibration_section(
    decisions: Decisions, *, on: str = "validation cases of all folds", whose: str = "patients"
) -> Calibration:
    """Return the card's calibration; on: the cases that it was fitted on, whose: what of them counts as one."""
    found = decisions.temperature
    if found is None:
        return Calibration()
    return Calibration(
        method="temperature",
        temperature=round(found.temperature, 6),
        bias=round(found.bias, 6),
        fitted_on=f"{on}, {len(found.chosen_on)} {whose}" + (f"; {found.reason}" if found.reason else ""),
    )


def decided_section(
    decisions: Decisions, lines: Sequence[Line], *, on: str = "the validation cases of all folds"
) -> dict[str, Any]:
    """Return the card's thresholds and referral; on: the cases that they were chosen on."""
    found: dict[str, Any] = {}
    threshold, referral = decisions.threshold, decisions.referral
    if threshold is not None:
        reached = {
            line.figure.name: line.figure.value for line in lines if line.over.endswith("at each fold's threshold")
        }
        found["thresholds"] = [
            {
                "name": "balanced" if threshold.rule == "youden" else "chosen",
                "value": round(threshold.value, 6),
                "chosen_by": f"{threshold.rule}, on {on}",
                "sensitivity": _rounded(reached.get("Sensitivity")),
                "specificity": _rounded(reached.get("Specificity")),
                "achieved_on": "held-out cases, each at the threshold of its own fold",
            }
        ]
    if referral is not None and referral.band is not None:
        low, high = referral.band
        found["referral"] = {"low": round(low, 6), "high": round(high, 6), "reason": referral.reason}
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def evaluation_section(study: Study, lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Return the card's evaluation, one row a figure that could be estimated."""
    unit = "patient" if study.cohort.tells_patients else "case"
    scheme = f"{study.splits.scheme}, {len(study.splits.folds)} folds by {unit}"
    rows: list[dict[str, Any]] = []
    for line in lines:
        figure = line.figure
        if figure.value is None:
            continue
        notes = [note for note in ("" if line.of_model else "not this model", figure.method, figure.reason) if note]
        numbers = {name: _rounded(getattr(figure, name)) for name in ("value", "low", "high")}
        rows.append(
            {
                "name": f"{line.over}; {scheme}",
                "metric": figure.name,
                **numbers,
                "n": figure.n,
                "note": "; ".join(notes) or None,
            }
        )
    return rows or [
        {
            "name": f"held-out cases; {scheme}",
            "metric": "cases",
            "value": len(study.cohort),
            "note": "no figure is estimable",
        }
    ]


def training_section(study: Study, *, script: str = "wsi-run train") -> dict[str, Any]:
    """Return the card's training."""
    told = study.config.model
    return {
        "data": told.data or [f"{len(study.cohort)} cases, not described by who trained the model"],
        "data_licences": told.data_licences,
        "data_digest": study.data_digest,
        "split_digest": study.splits.digest,
        "seed": study.config.seed,
        "versions": {
            "wsi-run": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
        "script": script,
    }

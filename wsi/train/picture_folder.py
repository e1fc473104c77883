"""Write the folder of a model of pictures: its own encoder, heads, card, selftest, and the card for people."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import yaml
from torch import Tensor

from wsi.card import OWN_ENCODER, Calibration, EncoderCard, ModelCard, Weights
from wsi.encode.load import load_encoder
from wsi.mil import Head
from wsi.mil.familiar import Familiar
from wsi.publish import publish, sha256_bytes
from wsi.train.card_head import shown
from wsi.train.familiar import familiar_arrays, familiar_section, fit_familiar, limit_of
from wsi.train.figures import Line
from wsi.train.folder import calibration_section, decided_section, evaluation_section, training_section
from wsi.train.picture_network import as_head
from wsi.train.picture_run import Learned, PictureRun, final_fitting
from wsi.train.picture_settings import Asked, PictureConfig
from wsi.train.picture_text import picture_text
from wsi.train.tasks import Floats

ENCODER, WEIGHTS, SELFTEST = "encoder", "weights.safetensors", "selftest.safetensors"
HELD_OUT = "held-out pictures of all folds"
TOLERANCE = 0.01
"""Of the selftest: an encoder in bf16 gives an embedding's norm to half a percent."""
EXAMPLES = 2
SCRIPT = "wsi-run finetune"


def write_picture_model(run: PictureRun, out: Path, *, audit: Sequence[Line] = ()) -> ModelCard:
    """Write the folder and return its card; the same run gives the same bytes.

    The encoder and hidden layers are stored in half precision; the distances of the out-of-distribution rule and the
    selftest are those of what is stored.

    Args:
        audit: figures of what trivial traits tell, for the card.
    """
    config = run.plan.config
    share = config.model.familiar
    encoder = _write_encoder(run, out / ENCODER)
    fitting = final_fitting(run)
    fitting.network.encoder.network.load_state_dict(_stored(run))
    rows = fitting.embeddings(range(len(run.plan.cohort)))
    heads = [
        as_head(one, task, run.plan.card.dim)
        for one, task in zip(fitting.network.classifiers, run.plan.tasks, strict=True)
    ]
    for head in heads:
        head.load_state_dict(_kept(head, config))
    rule, limit = _familiar(run, rows)
    weights = safetensors.torch.save(dict(sorted({**_tensors(run, heads), **familiar_arrays(rule)}.items())))
    example = _example(rows, seed=config.seed)
    tile = _drawn(config.side_px, seed=config.seed)
    first, *others = run.learned
    calibration = _calibrated(first)
    section = _head(config.asked[0], heads[0])
    card = ModelCard.model_validate(
        {
            **_as_asked(config, out.name),
            "encoder": {"name": OWN_ENCODER, "sha256": encoder.weights.sha256},
            "head": section,
            "also": [
                _also(asked, head, one) for asked, head, one in zip(config.asked[1:], heads[1:], others, strict=True)
            ],
            "weights_sha256": sha256_bytes(weights),
            "calibration": calibration.model_dump(exclude_none=True),
            **decided_section(first.decisions, first.lines, on=HELD_OUT),
            **familiar_section(
                rule,
                limit,
                f"{share:.1%} of the held-out pictures lie within it, by the network and rule of the other folds",
            ),
            "evaluation": _evaluation(run, audit),
            "training": training_section(first.study, script=SCRIPT),
            "selftest": {
                "file": SELFTEST,
                "tolerance": TOLERANCE,
                **shown(example, heads[:1], section, calibration),
                "embedding_norm": round(_norm(out / ENCODER, tile), 4),
            },
        }
    )
    publish(out / WEIGHTS, weights)
    publish(out / SELFTEST, safetensors.torch.save({"features": example, "tile": torch.from_numpy(tile)}))
    publish(out / "README.md", picture_text(run, card, audit).encode())
    publish(out / "model.yaml", _yaml(card.model_dump(mode="json", exclude_none=True)))
    return card


def _as_asked(config: PictureConfig, name: str) -> dict[str, Any]:
    """Return what the settings alone say of the model: its name, terms, use and input."""
    model = config.model
    return {
        "kind": "model",
        "id": name,
        "version": "1",
        "title": model.title,
        "citation": model.citation,
        "licence": {"weights": model.licence, "note": model.licence_note, "consent": model.consent},
        "use": {
            "purpose": model.purpose,
            "not_for": ["diagnosis, screening or any decision about a patient", *model.not_for],
            "status": "research use only",
        },
        "input": config.input.model_dump(exclude_none=True),
    }


def _yaml(told: dict[str, Any]) -> bytes:
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=120).encode()


def _stored(run: PictureRun) -> dict[str, Tensor]:
    """Return the encoder's weights as the folder holds them: rounded to half precision, by the names of timm."""
    prefix = "encoder.network."
    own = {name.removeprefix(prefix): one for name, one in run.weights.items() if name.startswith(prefix)}
    return {name: one.half().float() if one.is_floating_point() else one for name, one in own.items()}


def _write_encoder(run: PictureRun, folder: Path) -> EncoderCard:
    config, base = run.plan.config, run.plan.card
    made = "as it was" if config.fit.train == "classifier" else "fine-tuned"
    tensors = {name: one.half() if one.is_floating_point() else one for name, one in _stored(run).items()}
    content = safetensors.torch.save(tensors)
    publish(folder / WEIGHTS, content)
    card = base.model_copy(
        update={
            "id": f"{folder.parent.name}-encoder",
            "version": "1",
            "title": f"{base.title}, {made}: the encoder of {config.model.title}",
            "weights": Weights(file=WEIGHTS, sha256=sha256_bytes(content)),
            "input": base.input.model_copy(update={"tile_px": config.side_px, "mpp": 0.0, "mpp_range": None}),
            "transform": base.transform.model_copy(update={"resize_px": None, "crop_px": None}),
            "turns": config.turns,
            "licence": base.licence.model_copy(
                update={
                    "weights": config.model.licence,
                    "gated": False,
                    "note": f"Made from the weights of {base.id} ({base.licence.weights}).",
                }
            ),
        }
    )
    publish(folder / "model.yaml", _yaml(card.model_dump(mode="json", exclude_none=True)))
    return card


def _tensors(run: PictureRun, heads: Sequence[Head]) -> dict[str, Tensor]:
    prefixes = ["", *(f"also.{one.slug}." for one in run.plan.config.asked[1:])]
    return {
        prefix + name: tensor
        for prefix, head in zip(prefixes, heads, strict=True)
        for name, tensor in _kept(head, run.plan.config).items()
    }


def _kept(head: Head, config: PictureConfig) -> dict[str, Tensor]:
    """Return a head's weights as the folder holds them: a hidden layer's in half precision, where none is too large."""
    kept = {name: one.contiguous() for name, one in head.state_dict().items()}
    half = kept["embed.weight"].half()
    if config.fit.hidden and bool(half.isfinite().all()):
        kept["embed.weight"] = half
    return kept


def _familiar(run: PictureRun, rows: Floats) -> tuple[Familiar | None, float | None]:
    """Return the rule of all pictures and its limit; both None where there is none."""
    share = run.plan.config.model.familiar
    limit = limit_of(run.distances, share=share) if share else None
    rule = fit_familiar(rows, method="residual") if limit is not None else None
    return rule, limit if rule is not None else None


def _head(asked: Asked, head: Head) -> dict[str, Any]:
    """Return the section `head` of a card."""
    return {
        "type": asked.kind,
        "aggregate": head.spec.aggregate,
        "activation": head.spec.activation,
        "link": "cumulative",
        "classes": [
            {"name": one.name, "color": list(one.color), **({"code": one.code} if one.code else {})}
            for one in asked.classes
        ],
        **({"positive": asked.positive} if asked.positive else {}),
    }


def _also(asked: Asked, head: Head, learned: Learned) -> dict[str, Any]:
    return {
        "name": asked.slug,
        "title": asked.title or asked.column,
        "head": _head(asked, head),
        "calibration": _calibrated(learned).model_dump(exclude_none=True),
        **decided_section(learned.decisions, learned.lines, on=HELD_OUT),
    }


def _calibrated(learned: Learned) -> Calibration:
    whose = "patients" if learned.study.cohort.tells_patients else "different pictures"
    return calibration_section(learned.decisions, on=HELD_OUT, whose=whose)


def _evaluation(run: PictureRun, audit: Sequence[Line]) -> list[dict[str, Any]]:
    rows = []
    for asked, learned in zip(run.plan.config.asked, run.learned, strict=True):
        for row in evaluation_section(learned.study, learned.lines):
            rows.append({**row, "name": f"{asked.title or asked.column}: {row['name']}"})
    return rows + (evaluation_section(run.learned[0].study, audit) if audit else [])


def _example(rows: Floats, *, seed: int) -> Tensor:
    """Return drawn features `(2, D)` of the scale of the training pictures': none of a patient."""
    drawn = np.random.default_rng(seed).normal(0, 1, (EXAMPLES, rows.shape[1]))
    return torch.from_numpy((drawn * rows.std(axis=0) + rows.mean(axis=0)).astype(np.float32))


def _drawn(side_px: int, *, seed: int) -> np.ndarray:
    """Return a picture of smooth blotches `(side, side, 3)` uint8."""
    rng = np.random.default_rng(seed)
    places = np.linspace(0, 2 * np.pi, side_px)
    waves = [np.add.outer(np.sin(a * places + b), np.cos(c * places + d)) for a, b, c, d in rng.uniform(1, 6, (3, 4))]
    found: np.ndarray = np.clip(np.rint(128 + 60 * np.stack(waves, axis=-1)), 0, 255).astype(np.uint8)
    return found


def _norm(folder: Path, tile: np.ndarray) -> float:
    encoder = load_encoder(str(folder), device="cpu", precision="fp32", threads=1)
    try:
        return float(np.linalg.norm(encoder.encode(tile[None]).astype(np.float64)))
    finally:
        encoder.close()

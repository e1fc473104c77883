"""Write the model folder: weights, card, selftest and the model card for people."""

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from string import Template

import numpy as np
import yaml
from decide import Decision, Familiar
from head import Head
from logistic import sigmoid
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from safetensors.torch import save
from space import Features
from torch import Tensor, from_numpy, tensor

from wsi.card import ModelCard
from wsi.publish import publish, sha256_bytes

README = Path(__file__).with_name("card.md")
ENCODER = "mobilenetv2-imagenet"
SELFTEST_TILES = 6
PACKAGES = ("numpy", "scipy", "torch", "timm", "pillow")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the card's evaluation."""

    name: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    note: str | None = None

    def fields(self) -> dict[str, object]:
        """Return what model.yaml holds of it."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in found.items() if v is not None}


@dataclass(frozen=True, slots=True)
class Trained:
    """All that goes into the folder."""

    head: Head
    decision: Decision
    familiar: Familiar
    limit: float
    findings: list[Finding]
    data_digest: str
    split_digest: str
    seed: int
    encoder_sha256: str
    story: dict[str, str]
    """What the model card for people needs beyond this."""


def write_folder(out: Path, trained: Trained, *, selftest: Features) -> None:
    """Write the four files of the model folder; a rerun on the same machine gives the same bytes.

    Args:
        selftest: `(N, 1280)` features of drawn tiles.
    """
    weights = save(dict(sorted({**trained.head.tensors(), **_familiar(trained.familiar)}.items())))
    example = save({"features": from_numpy(selftest.astype(np.float32))})
    decision = trained.decision
    logit = float(trained.head.bag_logit(selftest.astype(np.float64)))
    positive = float(sigmoid(np.array(decision.slope * logit + decision.start)))
    card = _card(trained, sha256_bytes(weights), [1 - positive, positive])
    ModelCard.model_validate(card)
    publish(out / "weights.safetensors", weights)
    publish(out / "selftest.safetensors", example)
    text = yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=120)
    publish(out / "model.yaml", text.encode())
    publish(out / "README.md", Template(README.read_text(encoding="utf-8")).substitute(trained.story).encode())


def drawn_tiles(seed: int) -> NDArray[np.uint8]:
    """Return drawn tiles, `(6, 224, 224, 3)` uint8: purple discs on pink, from sparse to dense. No real tissue."""
    rng = np.random.default_rng(seed)
    made = []
    for n in np.linspace(10, 400, SELFTEST_TILES).astype(int):
        image = Image.new("RGB", (224, 224), (232, 190, 215))
        draw = ImageDraw.Draw(image)
        for x, y, r in rng.uniform((0, 0, 2), (224, 224, 6), (int(n), 3)):
            draw.ellipse((x - r, y - r, x + r, y + r), fill=(92, 60, 140))
        made.append(np.asarray(image))
    return np.stack(made)


def _familiar(rule: Familiar) -> dict[str, Tensor]:
    arrays = {"ood.mean": rule.mean, "ood.axes": rule.axes, "ood.scale": rule.scale}
    return {name: tensor(values, dtype=tensor(0.0).dtype) for name, values in arrays.items()}


def _card(trained: Trained, digest: str, probability: list[float]) -> dict[str, object]:
    d = trained.decision
    held = "cases held out in cross-validation; the threshold chosen without the case itself"
    return {
        "kind": "model",
        "id": "tumor",
        "version": "1",
        "title": "Malignant or not, on H&E slides of any organ, with a heatmap (research)",
        "licence": {"weights": "Apache-2.0", "note": "Trained on slides of the Pathology Atlas (MIT)."},
        "use": {
            "purpose": "Research on slide-level triage and heatmaps with a small model that runs on two CPU cores",
            "not_for": [
                "diagnosis, screening or any decision about a patient",
                "cytology, immunohistochemistry, frozen sections, fluorescence",
                "telling in situ, borderline or well-differentiated neoplasms from benign tissue",
            ],
            "status": "research use only",
        },
        "input": {"modality": "brightfield", "stain": "H&E", "tile_px": 224, "mpp": 1.0, "foreground": "tissue"},
        "encoder": {"name": ENCODER, "sha256": trained.encoder_sha256},
        "head": {
            "type": "binary",
            "aggregate": "gated-attention",
            "activation": "relu",
            "members": 1,
            "classes": [
                {"name": "not malignant", "color": [64, 128, 192]},
                {"name": "malignant", "color": [200, 40, 40], "code": "SCT:1240414004"},
            ],
            "positive": "malignant",
        },
        "weights_sha256": digest,
        "calibration": {
            "method": "temperature",
            "temperature": round(1 / d.slope, 6),
            "bias": round(d.start, 6),
            "fitted_on": "logits of held-out cases, all repeats (Platt scaling); holds for a quarter of malignant cases",
        },
        "thresholds": [
            {
                "name": "balanced",
                "value": d.threshold,
                "chosen_by": "largest sensitivity + specificity over held-out cases",
                "sensitivity": round(d.sensitivity.value, 3),
                "specificity": round(d.specificity.value, 3),
                "achieved_on": held,
            }
        ],
        "referral": {
            "low": d.low,
            "high": d.high,
            "reason": f"between {d.low:.2f} and {d.high:.2f} the model was often wrong on cases it had not seen",
        },
        "out_of_distribution": {
            "method": "mahalanobis",
            "limit": trained.limit,
            "chosen_by": "97.5 % of the cohort's slides lie within it when their case is held out",
        },
        "evaluation": [one.fields() for one in trained.findings],
        "training": {
            "data": ["Pathology Atlas cohort: 61 slides of 56 cases, 33 tiles each, one label a slide"],
            "data_licences": ["MIT, Copyright (c) 2022 Pathology Atlas (S. Balcı, patolojiatlasi.com)"],
            "data_digest": trained.data_digest,
            "split_digest": trained.split_digest,
            "seed": trained.seed,
            "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
            "script": "scripts/train/tumor/train.py",
        },
        "selftest": {
            "file": "selftest.safetensors",
            "probability": [round(p, 6) for p in probability],
            "tolerance": 1e-3,
        },
    }

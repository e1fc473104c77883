"""Draw model folders of any head and any kind of target; what logits mean is worked out in numpy alone."""

import hashlib
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

from tests.predict import folders
from wsi.mil import Head, HeadSpec, make_head

Floats = NDArray[np.float64]
TIMES = [6.0, 12.0, 24.0]
BASELINE = [0.9, 0.7, 0.4]
LABELS = ["MSI", "BRAF", "KRAS"]
HEADS: dict[str, dict[str, Any]] = {
    "binary": {"type": "binary", "classes": ["benign", "malignant"]},
    "multiclass": {"type": "multiclass", "classes": ["a", "b", "c"]},
    "multilabel": {"type": "multilabel", "classes": LABELS},
    "ordinal": {"type": "ordinal", "classes": ["low", "mid", "high", "top"]},
    "corn": {"type": "ordinal", "classes": ["low", "mid", "high", "top"], "link": "corn"},
    "regression": {
        "type": "regression",
        "quantity": {"name": "Ki-67 index", "unit": "%", "center": 20.0, "scale": 8.0},
    },
    "cox": {
        "type": "survival",
        "survival": {"model": "cox", "event": "death", "unit": "months", "times": TIMES, "baseline": BASELINE},
    },
    "discrete-time": {
        "type": "survival",
        "survival": {"model": "discrete-time", "event": "death", "unit": "months", "times": TIMES},
    },
}
"""The section `head` of a card for each kind of target, its classes by name."""
HEADS_OF, MARKS = 2, 4


def spec_of(aggregate: str, kind: str) -> HeadSpec:
    told = HEADS[kind]
    cuts = len(TIMES) + 1 if kind == "discrete-time" else 0
    return HeadSpec(
        aggregate, told["type"], len(told.get("classes", [])), cuts, hidden=8, width=4, heads=HEADS_OF, landmarks=MARKS
    )


def draw(spec: HeadSpec, dim: int = folders.DIM, seed: int = 1) -> Head:
    """Return a head whose numbers are drawn; cuts of ordered grades fall."""
    torch.manual_seed(seed)
    made = make_head(spec, dim)
    with torch.no_grad():
        made.norm.std.uniform_(0.5, 2)
        for name, parameter in made.named_parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.7)
            if spec.kind == "ordinal" and name in ("classifier.bias", "instance.bias"):
                parameter.copy_(parameter.sort(descending=True).values)
    return made.eval()


def shown_by_hand(logits: Floats, kind: str) -> dict[str, Any]:
    """Return what logits `(C,)` say: probability (a list), or value and curve."""
    hazard = 1 / (1 + np.exp(-logits))
    if kind in ("binary", "multiclass", "ordinal"):
        return {"probability": folders.probabilities_by_hand(logits, kind).tolist()}
    if kind == "multilabel":
        return {"probability": hazard.tolist()}
    if kind == "corn":
        edges = [1.0, *np.cumprod(hazard), 0.0]
        return {"probability": [a - b for a, b in pairwise(edges)]}
    if kind == "regression":
        return {"value": 20.0 + 8.0 * float(logits[0]), "curve": []}
    if kind == "cox":
        return {"value": float(logits[0]), "curve": [s ** math.exp(float(logits[0])) for s in BASELINE]}
    curve = np.cumprod(1 - hazard)[:-1]
    return {"value": 1 - float(curve[-1]), "curve": curve.tolist()}


def card_of(aggregate: str, kind: str, **changes: object) -> dict[str, Any]:
    told = HEADS[kind]
    classes = [{"name": n, "color": [i, 2, 3]} for i, n in enumerate(told.get("classes", []))]
    fields = folders.card()
    fields["head"] = {**told, "aggregate": aggregate, "heads": HEADS_OF, "landmarks": MARKS, "classes": classes}
    return {**fields, **changes}


def write(folder: Path, heads: list[Head], kind: str, *, dim: int = folders.DIM, **changes: object) -> Path:
    """Write a model folder of heads that vote; the selftest is worked out from their logits."""
    folder.mkdir(parents=True, exist_ok=True)
    features = np.random.default_rng(0).normal(0, 1, (5, dim)).astype(np.float32)
    named = {
        (f"members.{i}.{name}" if len(heads) > 1 else name): tensor.contiguous()
        for i, head in enumerate(heads)
        for name, tensor in head.state_dict().items()
    }
    save_file(named, folder / "weights.safetensors")
    save_arrays({"features": features}, folder / "selftest.safetensors")
    fields = card_of(heads[0].spec.aggregate, kind, **changes)
    fields["head"]["members"] = len(heads)
    with torch.no_grad():
        each = [shown_by_hand(h(torch.from_numpy(features)[None])[0][0].double().numpy(), kind) for h in heads]
    told: dict[str, Any] = {"file": "selftest.safetensors"}
    if "probability" in each[0]:
        told["probability"] = np.mean([one["probability"] for one in each], axis=0).tolist()
    else:
        told["value"] = float(np.mean([one["value"] for one in each]))
    fields.setdefault("selftest", told)
    fields["weights_sha256"] = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    (folder / "model.yaml").write_text(yaml.safe_dump(fields, sort_keys=False))
    return folder

"""Draw model folders: a card, weights and a selftest, whose numbers are worked out here in numpy alone."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from safetensors.numpy import save_file

Arrays = dict[str, NDArray[Any]]
Floats = NDArray[np.float64]
DIM, HIDDEN, WIDTH = 6, 4, 3
NAMES = {"binary": ["benign", "malignant"], "multiclass": ["a", "b", "c"], "ordinal": ["low", "mid", "high", "top"]}
ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "identity": lambda x: x,
}


def bag(n: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 1, (n, DIM)).astype(np.float32)


def coords(n: int) -> NDArray[np.int32]:
    return np.stack([np.arange(n), np.arange(n) * 2], axis=1).astype(np.int32) * 224


def tensors(kind: str = "binary", *, gated: bool = True, prefix: str = "", seed: int = 1) -> Arrays:
    """Return drawn weights of one head."""
    rng = np.random.default_rng(seed)
    rows = {"binary": (1, 1), "multiclass": (3, 3), "ordinal": (1, 3)}[kind]
    shapes = {
        "norm.mean": (DIM,),
        "norm.std": (DIM,),
        "embed.weight": (HIDDEN, DIM),
        "embed.bias": (HIDDEN,),
        "classifier.weight": (rows[0], HIDDEN),
        "classifier.bias": (rows[1],),
    }
    if gated:
        shapes |= {
            "attention.tanh.weight": (WIDTH, HIDDEN),
            "attention.tanh.bias": (WIDTH,),
            "attention.gate.weight": (WIDTH, HIDDEN),
            "attention.gate.bias": (WIDTH,),
            "attention.score.weight": (1, WIDTH),
            "attention.score.bias": (1,),
        }
    found: Arrays = {name: rng.normal(0, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    found["norm.std"] = np.abs(found["norm.std"]) + np.float32(0.5)
    if kind == "ordinal":
        found["classifier.bias"] = np.array([1.5, 0.0, -1.0], np.float32)
    return {prefix + name: array for name, array in found.items()}


def familiar(axes: int = 2, seed: int = 5) -> Arrays:
    """Return drawn arrays of an out-of-distribution rule."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(0, 1, (DIM, DIM)))[0]
    return {
        "ood.mean": rng.normal(0, 1, DIM).astype(np.float32),
        "ood.axes": np.ascontiguousarray(basis[:axes], np.float32),
        "ood.scale": rng.uniform(0.5, 2, axes).astype(np.float32),
    }


def sigmoid(x: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-x))
    return found


def probabilities_by_hand(logits: Floats, kind: str) -> Floats:
    """Return `(..., K)` class probabilities of logits `(..., C)`."""
    if kind == "multiclass":
        odds = np.exp(logits)
        shares: Floats = odds / odds.sum(axis=-1, keepdims=True)
        return shares
    above = sigmoid(logits)
    edges = np.concatenate([np.ones_like(above[..., :1]), above, np.zeros_like(above[..., :1])], axis=-1)
    found: Floats = -np.diff(edges, axis=-1)
    return found


def read_by_hand(
    weights: Mapping[str, NDArray[Any]], features: NDArray[np.float32], kind: str, activation: str = "relu"
) -> tuple[Floats, Floats, Floats]:
    """Return the logits `(C,)`, attention `(N,)` and tile logits `(N, C)` of one head, by eq. 8-9 of Ilse et al. 2018."""
    w = {name: array.astype(np.float64) for name, array in weights.items()}
    standard = (features - w["norm.mean"]) / w["norm.std"]
    h = ACTIVATIONS[activation](standard @ w["embed.weight"].T + w["embed.bias"])
    scores = np.zeros(len(h))
    if "attention.score.weight" in w:
        v = np.tanh(h @ w["attention.tanh.weight"].T + w["attention.tanh.bias"])
        u = sigmoid(h @ w["attention.gate.weight"].T + w["attention.gate.bias"])
        scores = (u * v) @ w["attention.score.weight"][0]
    attention = np.exp(scores) / np.exp(scores).sum()
    classify = (w["classifier.weight"], w["classifier.bias"])
    return (attention @ h) @ classify[0].T + classify[1], attention, h @ classify[0].T + classify[1]


def card(kind: str = "binary", **changes: object) -> dict[str, Any]:
    """Return the card of a model that reads features of an encoder nobody has."""
    fields: dict[str, Any] = {
        "kind": "model",
        "id": "tiny",
        "version": "1",
        "title": "A tiny head",
        "licence": {"weights": "CC0-1.0"},
        "use": {"purpose": "tests", "not_for": ["anything else"], "status": "research use only"},
        "input": {"tile_px": 224, "mpp": 1.0},
        "encoder": {"name": "nobodys-encoder", "sha256": "0" * 64},
        "head": {"type": kind, "classes": [{"name": n, "color": [i, 2, 3]} for i, n in enumerate(NAMES[kind])]},
        "evaluation": [{"name": "drawn", "metric": "AUC", "value": 0.5}],
        "training": {
            "data": ["none"],
            "data_licences": ["CC0-1.0"],
            "data_digest": "0",
            "split_digest": "0",
            "seed": 0,
            "versions": {},
            "script": "none",
        },
    }
    head = {**fields["head"], **changes.pop("head", {})}  # type: ignore[dict-item]
    return {**fields, "head": head, **changes}


def write_folder(
    folder: Path,
    weights: Mapping[str, NDArray[Any]],
    fields: Mapping[str, Any],
    *,
    selftest: Mapping[str, NDArray[Any]] | None = None,
) -> Path:
    """Write a model folder; what it leaves open (hash, selftest) is worked out."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(weights), folder / "weights.safetensors")
    save_file(dict(selftest) if selftest is not None else {"features": bag(5)}, folder / "selftest.safetensors")
    whole = {**fields}
    whole.setdefault("weights_sha256", hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest())
    if "selftest" not in whole:
        probability = expected_probabilities(weights, bag(5), fields)
        whole["selftest"] = {"file": "selftest.safetensors", "probability": [float(p) for p in probability]}
    (folder / "model.yaml").write_text(yaml.safe_dump(whole, sort_keys=False))
    return folder


def expected_probabilities(
    weights: Mapping[str, NDArray[Any]], features: NDArray[np.float32], fields: Mapping[str, Any]
) -> Floats:
    """Return the calibrated probabilities `(K,)` of a bag, the mean over the members."""
    head, calibration = fields["head"], fields.get("calibration", {})
    members = head.get("members", 1)
    found = []
    for i in range(members):
        prefix = f"members.{i}." if members > 1 else ""
        own = {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}
        logits, _, _ = read_by_hand(own, features, head["type"], head.get("activation", "relu"))
        logits = logits / calibration.get("temperature", 1.0) + calibration.get("bias", 0.0)
        found.append(probabilities_by_hand(logits, head["type"]))
    mean: Floats = np.mean(found, axis=0)
    return mean

"""Write the folder of a model of masks: card, weights in half precision, a drawn example, and the card for people."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import scipy
import torch
import yaml
from numpy.typing import NDArray

from wsi.card import MaskCard
from wsi.evaluate.figure import Figure
from wsi.field import Axis, Field
from wsi.publish import publish, sha256_bytes
from wsi.segment.grid import labels_on
from wsi.segment.infer import probabilities
from wsi.segment.postprocess import postprocessed
from wsi.segment.vote import Network
from wsi.train.dense_plan import spec_of, window_of
from wsi.train.dense_settings import MaskConfig
from wsi.train.dense_study import HeldOutMask, MaskPlanned, reading_of
from wsi.train.dense_text import mask_text

PACKAGES = ("numpy", "scipy", "torch")
LINES = 12
"""Curves of the drawn example."""
Floats = NDArray[np.float32]


def write_mask_model(
    plan: MaskPlanned, network: Network, figures: Sequence[Figure], rows: Sequence[HeldOutMask], out: Path
) -> MaskCard:
    """Write the four files of the model folder and return its card; the same study gives the same bytes."""
    config = plan.config
    tensors = {name: tensor.cpu().half().contiguous() for name, tensor in sorted(network.state_dict().items())}
    weights = safetensors.torch.save(tensors)
    example = drawn_example(config)
    card = MaskCard.model_validate(
        {
            "kind": "model",
            "id": out.name,
            "version": "1",
            "title": config.model.title,
            "citation": config.model.citation,
            "licence": {"weights": config.model.licence, "note": config.model.licence_note},
            "use": {
                "purpose": config.model.purpose,
                "not_for": config.model.not_for,
                "status": "research use only",
            },
            "input": config.input.model_dump(exclude_none=True) if config.input is not None else {},
            "network": _network(config),
            "structures": [one.model_dump(exclude={"values"}, exclude_none=True) for one in config.structures],
            "threshold": config.threshold,
            "postprocess": [step.model_dump() for step in config.postprocess],
            "weights_sha256": sha256_bytes(weights),
            "evaluation": [_line(one, plan) for one in figures if one.value is not None],
            "training": _training(plan),
            "selftest": {"file": "selftest.safetensors", "samples": _samples(network, example, config)},
        }
    )
    text = yaml.safe_dump(
        card.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True, width=120
    )
    publish(out / "weights.safetensors", weights)
    publish(out / "selftest.safetensors", safetensors.torch.save({"image": torch.from_numpy(example)}))
    publish(out / "README.md", mask_text(plan, card, figures, rows).encode())
    publish(out / "model.yaml", text.encode())
    return card


def _network(config: MaskConfig) -> dict[str, Any]:
    spec = spec_of(config)
    return {
        "architecture": "unet",
        "axes": spec.axes,
        "channels": spec.channels,
        "classes": spec.classes,
        "widths": list(spec.widths),
        "stem": spec.stem,
        "members": config.network.members,
        "flips": list(config.network.flips),
    }


def _line(figure: Figure, plan: MaskPlanned) -> dict[str, Any]:
    metric, _, structure = figure.name.rpartition(", ")
    return {
        "name": f"{structure}, {plan.splits.scheme} by patient, held-out images",
        "metric": metric,
        "value": _rounded(figure.value),
        "low": _rounded(figure.low),
        "high": _rounded(figure.high),
        "n": figure.n,
        "note": figure.reason or None,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _training(plan: MaskPlanned) -> dict[str, Any]:
    told = plan.config.model
    return {
        "data": told.data or [f"{len(plan.examples)} images of {plan.patients} patients"],
        "data_licences": told.data_licences or ["not told"],
        "data_digest": plan.data_digest,
        "split_digest": plan.splits.digest,
        "seed": plan.config.seed,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "script": "wsi-run train-masks",
    }


def drawn_example(config: MaskConfig) -> Floats:
    """Return a drawn image `(C, *window)` as after preprocessing: soft noise, a bright blob and dark curves; nobody's."""
    rng = np.random.default_rng(config.seed)
    shape, channels = window_of(config), spec_of(config).channels
    soft = scipy.ndimage.gaussian_filter(rng.normal(size=shape), 2)
    image = soft / soft.std() * 0.3
    grid = np.indices(shape).reshape(len(shape), -1).T.reshape(*shape, len(shape))
    middle, size = np.array(shape) / 2, np.array(shape) / 5
    image += 1.5 * np.exp(-(((grid - middle) / size) ** 2).sum(-1))
    for _ in range(LINES):
        place, along = rng.uniform(0, shape), rng.normal(size=len(shape))
        along /= np.linalg.norm(along)
        away = (grid - place) - ((grid - place) @ along)[..., None] * along
        image -= 2.0 * np.exp(-(away**2).sum(-1) / (2 * rng.uniform(0.8, 2.5) ** 2))
    return np.repeat(image[None].astype(np.float32), channels, axis=0)


def _samples(network: Network, example: Floats, config: MaskConfig) -> list[int]:
    """Return how many samples of each structure the network finds in the example."""
    said = probabilities(network, example, reading_of(config))
    axes = tuple(Axis(f"axis {n}", "px", 1.0) for n in range(example.ndim - 1))
    field = Field(said, axes, np.eye(len(axes) + 1), tuple(f"class {k}" for k in range(len(said))))
    names = [one.name for one in config.structures]
    labels = postprocessed(labels_on(field, field, threshold=config.threshold), config.postprocess, names)
    return [int((labels == place).sum()) for place in range(1, len(said))]

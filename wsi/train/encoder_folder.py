"""Write a fine-tuned encoder as a folder that `--encoder FOLDER` and `wsi-run train` take: weights, card, README."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import safetensors.torch
import yaml

from wsi.card import EncoderCard, Weights
from wsi.publish import publish, sha256_bytes
from wsi.train.figures import Line
from wsi.train.finetune import TuneConfig, Tuned
from wsi.train.tiles import TileSet

WEIGHTS = "weights.safetensors"


def write_encoder(
    out: Path,
    model: Tuned,
    base: EncoderCard,
    tiles: TileSet,
    config: TuneConfig,
    lines: Sequence[Line],
    *,
    base_sha256: str,
) -> EncoderCard:
    """Write the folder and return its card; the classifier stays out: features are what it is for."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in model.encoder.network.state_dict().items()}
    content = safetensors.torch.save(tensors)
    publish(out / WEIGHTS, content)
    card = base.model_copy(
        update={
            "id": out.name,
            "version": "1",
            "title": f"{base.title}, fine-tuned on {len(tiles.tiles)} tiles ({', '.join(tiles.classes)})",
            "weights": Weights(file=WEIGHTS, sha256=sha256_bytes(content)),
            "licence": base.licence.model_copy(update={"gated": False, "note": _licence(base)}),
        }
    )
    text = yaml.safe_dump(
        card.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True, width=120
    )
    publish(out / "README.md", _readme(card, base, tiles, config, lines, base_sha256).encode())
    publish(out / "model.yaml", text.encode())
    return card


def _licence(base: EncoderCard) -> str:
    return f"Made from the weights of {base.id}; its terms hold for these too, beside those of the tiles."


def _readme(
    card: EncoderCard, base: EncoderCard, tiles: TileSet, config: TuneConfig, lines: Sequence[Line], base_sha256: str
) -> str:
    counts = [sum(tile.label == k for tile in tiles.tiles) for k in range(len(tiles.classes))]
    groups = len({tile.group for tile in tiles.tiles})
    how = f"its last {config.blocks} blocks" if config.train == "last" else "all of it"
    told = ", ".join(f"{n} {name}" for n, name in zip(counts, tiles.classes, strict=True))
    rows = "\n".join(
        f"| {line.over} | {line.figure.name} | {line.figure.text()} | {line.figure.denominator} |" for line in lines
    )
    grouped = (
        "" if tiles.grouped else " **The tiles came without groups: tiles of one patient may stand on both sides.**"
    )
    return f"""# {card.id}

**Research use only.** An encoder: it turns a tile of {card.input.tile_px} px at {card.input.mpp:g} µm/px into {card.dim} numbers.

Made by `wsi-run finetune` from `{base.id}` (weights {base_sha256[:16]}), {how}, on {len(tiles.tiles)} tiles of {groups} groups: {told}.{grouped}

| over | figure | value (95 % interval) | tiles |
|---|---|---|---|
{rows}

At most {config.epochs} epochs of AdamW, rate {config.learning_rate:g}, {config.layer_decay:g} of it for each block further down; colors
of stains jittered by {config.stain:g}; seed {config.seed}; torch {version("torch")}, timm {version("timm")}, Python {platform.python_version()}.

Open, for a person to write: whose tiles these are and under which terms, how they were labeled, which scanners and stains.
"""

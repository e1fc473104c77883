"""Where other libraries' files keep the tensors that a timm network calls by its own names."""

import re
from collections.abc import Collection

PREFIXES = ("", "module.", "backbone.", "model.", "dinov2.", "vit.")
"""What wrappers put before every name."""
UNUSED = {
    "timm": (),
    "dinov2": ("mask_token",),
    "transformers-dinov2": ("embeddings.mask_token",),
    "transformers-vit": ("pooler.dense.weight", "pooler.dense.bias"),
}
"""Tensors that only training needs, by style of names."""
_QKV = ("attention.attention.query", "attention.attention.key", "attention.attention.value")
_TRANSFORMERS = {
    "cls_token": ("embeddings.cls_token",),
    "pos_embed": ("embeddings.position_embeddings",),
    "reg_token": ("embeddings.register_tokens",),
    "patch_embed.proj": ("embeddings.patch_embeddings.projection",),
    "norm": ("layernorm",),
    "attn.qkv": _QKV,
    "attn.proj": ("attention.output.dense",),
}
_STYLES: dict[str, dict[str, tuple[str, ...]]] = {
    "timm": {},
    "dinov2": {"reg_token": ("register_tokens",)},
    "transformers-dinov2": {
        **_TRANSFORMERS,
        "ls1.gamma": ("layer_scale1.lambda1",),
        "ls2.gamma": ("layer_scale2.lambda1",),
    },
    "transformers-vit": {
        **_TRANSFORMERS,
        "norm1": ("layernorm_before",),
        "norm2": ("layernorm_after",),
        "mlp.fc1": ("intermediate.dense",),
        "mlp.fc2": ("output.dense",),
    },
}
"""timm's names and those of the others, without block number and weight or bias; a name not here is the same.

dinov2: the publishers' own code; transformers-…: the classes Dinov2Model (with registers or without) and ViTModel
of the transformers library, which splits query, key and value.
"""
_SWIGLU = {
    "dinov2": {"mlp.fc1": ("mlp.w12",), "mlp.fc2": ("mlp.w3",)},
    "transformers-dinov2": {"mlp.fc1": ("mlp.weights_in",), "mlp.fc2": ("mlp.weights_out",)},
}
"""What a gated MLP is called there."""


def stored_names(names: Collection[str], style: str, stored: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return where a file in `style` keeps each of timm's `names`: the parts that a tensor is stacked from.

    Args:
        stored: the names in the file, which tell a gated MLP from a plain one.
    """
    table = _STYLES[style]
    gated = _SWIGLU.get(style, {})
    if any(f".{part}." in name for name in stored for parts in gated.values() for part in parts):
        table = {**table, **gated}
    return {name: _stored_name(name, table, blocks=_blocks(style)) for name in names}


def has_class_position(style: str, names: Collection[str]) -> bool:
    """Return whether the file has a position for the class token where the network has none.

    DINOv2 with registers adds it to the class token at run time; timm's class token has it added already.
    """
    return style in ("dinov2", "transformers-dinov2") and "reg_token" in names


def _blocks(style: str) -> str:
    return "encoder.layer" if style.startswith("transformers") else "blocks"


def _stored_name(name: str, table: dict[str, tuple[str, ...]], *, blocks: str) -> tuple[str, ...]:
    block, base, kind = re.fullmatch(r"(?:blocks\.(\d+)\.)?(.+?)(\.weight|\.bias)?", name).groups(default="")  # type: ignore[union-attr]
    before = f"{blocks}.{block}." if block else ""
    return tuple(f"{before}{part}{kind}" for part in table.get(base, (base,)))

"""Put the tensors of a safetensors file into a network: all of them, of the right shape, all finite."""

import math
import re
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.functional import interpolate

from wsi.errors import WeightsError

MAX_HEADER_BYTES = 16 << 20
"""A ViT-g has 60 kB of names; more than this is an attack on memory."""
PREFIXES = ("", "module.", "backbone.", "model.")
"""What wrappers put before every name."""
POSITIONS = "pos_embed"
_UNUSED = ("embeddings.mask_token",)
"""Tensors that only training needs."""
_DINOV2 = {
    "cls_token": ("embeddings.cls_token",),
    "pos_embed": ("embeddings.position_embeddings",),
    "patch_embed.proj": ("embeddings.patch_embeddings.projection",),
    "norm": ("layernorm",),
    "norm1": ("norm1",),
    "norm2": ("norm2",),
    "attn.qkv": ("attention.attention.query", "attention.attention.key", "attention.attention.value"),
    "attn.proj": ("attention.output.dense",),
    "ls1.gamma": ("layer_scale1.lambda1",),
    "ls2.gamma": ("layer_scale2.lambda1",),
    "mlp.fc1": ("mlp.fc1",),
    "mlp.fc2": ("mlp.fc2",),
}
"""timm's names and those of the transformers library's Dinov2Model, without block number and weight or bias."""
_SWIGLU = {"mlp.fc1": ("mlp.weights_in",), "mlp.fc2": ("mlp.weights_out",)}


def load_weights(
    network: nn.Module, path: Path, *, keys: str = "timm", drop: tuple[str, ...] = (), resample: bool = False
) -> None:
    """Give `network` the tensors of the file at `path`, in the types that it has itself.

    Args:
        keys: how the file names its tensors, timm or transformers-dinov2.
        drop: first parts of names to leave out (a classifier's).
        resample: the file's position grid may be of another size than the network's.

    Raises:
        WeightsError: not safetensors, damaged, missing or unexpected names, wrong shapes, NaN or infinity.
            No tensor is read before all names and shapes agree.
    """
    check_header(path)
    wanted: dict[str, Tensor] = network.state_dict()
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            stored = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            places = _places(path, stored, wanted, keys, drop)
            for name, at in places.items():
                _check_shape(path, name, [stored[one] for one in at], wanted[name], resample=resample)
            loaded = {}
            for name, at in places.items():
                tensor = torch.cat([file.get_tensor(one) for one in at]) if at[1:] else file.get_tensor(at[0])
                if tensor.shape != wanted[name].shape:
                    tensor = resample_positions(network, tensor, antialias=keys == "timm")
                loaded[name] = _sound(path, name, tensor, wanted[name])
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a whole safetensors file ({error}); get it again") from error
    network.load_state_dict(loaded, strict=True, assign=True)


def check_header(path: Path) -> None:
    """Raise WeightsError unless the file starts with a safetensors header of a sane length."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise WeightsError(f"{path}: can't be read ({error.strerror or error})") from error
    length = int.from_bytes(start[:8], "little")
    if start[8:] != b"{" or length + 8 > size or length > MAX_HEADER_BYTES:
        raise WeightsError(
            f"{path}: {size} bytes that don't start with a safetensors header; the file is damaged or of another kind"
        )


def _places(
    path: Path,
    stored: dict[str, tuple[int, ...]],
    wanted: dict[str, Tensor],
    keys: str,
    drop: tuple[str, ...],
) -> dict[str, tuple[str, ...]]:
    """Return where in the file each wanted tensor is: the names of the parts it is stacked from."""
    names: dict[str, tuple[str, ...]] = {name: (name,) for name in wanted}
    if keys == "transformers-dinov2":
        names = {name: _dinov2_names(name, swiglu=_is_swiglu(stored)) for name in wanted}
    for prefix in PREFIXES:
        places = {name: tuple(prefix + one for one in at) for name, at in names.items()}
        used = {one for at in places.values() for one in at}
        unused = {prefix + one for one in _UNUSED}
        unexpected = {n for n in stored if n not in used | unused and not n.removeprefix(prefix).startswith(drop)}
        if used <= set(stored) and not unexpected:
            return places
    used = {one for at in names.values() for one in at}
    raise WeightsError(
        f"{path}: not the weights of this architecture; missing {_few(used - set(stored))}; "
        f"unexpected {_few(set(stored) - used)}"
    )


def _few(names: set[str]) -> str:
    first = ", ".join(sorted(names)[:3])
    return f"{first} and {len(names) - 3} more" if len(names) > 3 else first or "none"


def _is_swiglu(stored: dict[str, tuple[int, ...]]) -> bool:
    return any(".mlp.weights_in." in name for name in stored)


def _dinov2_names(name: str, *, swiglu: bool) -> tuple[str, ...]:
    """Return where transformers' Dinov2Model keeps what timm calls `name`."""
    block, base, kind = re.fullmatch(r"(?:blocks\.(\d+)\.)?(.+?)(\.weight|\.bias)?", name).groups(default="")  # type: ignore[union-attr]
    before = f"encoder.layer.{block}." if block else ""
    parts = (_SWIGLU if swiglu else {}).get(base) or _DINOV2.get(base, (base,))
    return tuple(f"{before}{part}{kind}" for part in parts)


def _check_shape(path: Path, name: str, parts: list[tuple[int, ...]], wanted: Tensor, *, resample: bool) -> None:
    found = (sum(part[0] for part in parts), *parts[0][1:]) if parts[1:] else parts[0]
    same = len({part[1:] for part in parts}) == 1 and found == tuple(wanted.shape)
    grid = resample and name == POSITIONS and len(found) == 3 and found[::2] == tuple(wanted.shape)[::2]
    if not same and not grid:
        raise WeightsError(f"{path}: {name} has shape {found}, this architecture expects {tuple(wanted.shape)}")


def _sound(path: Path, name: str, tensor: Tensor, wanted: Tensor) -> Tensor:
    """Return a copy in memory (the file may change later) in the wanted type."""
    if tensor.is_floating_point() != wanted.is_floating_point():
        raise WeightsError(f"{path}: {name} is of type {tensor.dtype}, expected {wanted.dtype}")
    if not torch.isfinite(tensor).all():
        raise WeightsError(f"{path}: {name} holds NaN or infinity; the file is damaged, get it again")
    return tensor.to(wanted.dtype, copy=True)


def resample_positions(network: nn.Module, stored: Tensor, *, antialias: bool) -> Tensor:
    """Return position embeddings for the network's grid from those of another grid.

    timm smooths when it shrinks the grid, the transformers library doesn't; each publisher's figures come from
    one of them.

    Args:
        stored: `(1, P + g * g, D)`, P prefix tokens first.

    Returns:
        `(1, P + h * h, D)`.
    """
    prefix = 0 if getattr(network, "no_embed_class", False) else int(getattr(network, "num_prefix_tokens", 0))
    side = math.isqrt(int(network.get_parameter(POSITIONS).shape[1]) - prefix)
    old = math.isqrt(stored.shape[1] - prefix)
    if old * old + prefix != stored.shape[1]:
        raise WeightsError(f"{POSITIONS}: {stored.shape[1]} positions with {prefix} before them are no square grid")
    grid = stored[:, prefix:].float().reshape(1, old, old, -1).permute(0, 3, 1, 2)  # (1, D, g, g)
    grid = interpolate(grid, (side, side), mode="bicubic", antialias=antialias, align_corners=False)  # (1, D, h, h)
    return torch.cat([stored[:, :prefix].float(), grid.flatten(2).transpose(1, 2)], dim=1)  # (1, P + h * h, D)

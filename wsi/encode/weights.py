"""Put the tensors of a safetensors file into a network: all of them, of the right shape, all finite."""

import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.functional import interpolate

from wsi.encode.names import PREFIXES, UNUSED, has_class_position, stored_names
from wsi.errors import WeightsError

MAX_HEADER_BYTES = 16 << 20
"""A ViT-g has 60 kB of names; more than this is an attack on memory."""
POSITIONS = "pos_embed"


def load_weights(
    network: nn.Module, path: Path, *, keys: str = "timm", drop: tuple[str, ...] = (), resample: bool = False
) -> None:
    """Give `network` the tensors of the file at `path`, in the types that it has itself.

    Args:
        keys: how the file names its tensors, see `wsi.encode.names`.
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
            folded = has_class_position(keys, wanted)
            for name, at in places.items():
                found = _shape_of(name, [stored[one] for one in at], folded=folded)
                _check_shape(path, name, found, wanted[name], resample=resample)
            loaded = {}
            for name in places:
                tensor = _tensor(file, name, places, folded=folded)
                if tensor.shape != wanted[name].shape:
                    try:
                        tensor = resample_positions(network, tensor, antialias=keys == "timm")
                    except WeightsError as error:
                        raise WeightsError(f"{path}: {error}; get it again") from error
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
    names = stored_names(wanted, keys, stored)
    for prefix in PREFIXES:
        places = {name: tuple(prefix + one for one in at) for name, at in names.items()}
        used = {one for at in places.values() for one in at}
        unused = {prefix + one for one in UNUSED[keys]}
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


def _tensor(file: Any, name: str, places: dict[str, tuple[str, ...]], *, folded: bool) -> Tensor:
    """Return a tensor as timm keeps it, from its parts in the file."""
    at = places[name]
    tensor: Tensor = torch.cat([file.get_tensor(one) for one in at]) if at[1:] else file.get_tensor(at[0])
    if folded and name == POSITIONS:
        tensor = tensor[:, 1:]  # (1, N, D)
    if folded and name == "cls_token":
        tensor = tensor + file.get_tensor(places[POSITIONS][0])[:, :1]  # (1, 1, D)
    return tensor


def _shape_of(name: str, parts: list[tuple[int, ...]], *, folded: bool) -> tuple[int, ...]:
    """Return the shape that the stacked parts have, () when they don't fit together."""
    if len({part[1:] for part in parts}) > 1 or (parts[1:] and not parts[0]):
        return ()
    found = (sum(part[0] for part in parts), *parts[0][1:]) if parts[1:] else parts[0]
    if folded and name == POSITIONS and len(found) == 3:
        return (found[0], found[1] - 1, found[2])
    return found


def _check_shape(path: Path, name: str, found: tuple[int, ...], wanted: Tensor, *, resample: bool) -> None:
    grid = resample and name == POSITIONS and len(found) == 3 and found[::2] == tuple(wanted.shape)[::2]
    if found != tuple(wanted.shape) and not grid:
        raise WeightsError(f"{path}: {name} has shape {found}, this architecture expects {tuple(wanted.shape)}")


def _sound(path: Path, name: str, tensor: Tensor, wanted: Tensor) -> Tensor:
    """Return a copy in memory (the file may change later) in the wanted type."""
    if tensor.is_floating_point() != wanted.is_floating_point():
        raise WeightsError(f"{path}: {name} is of type {tensor.dtype}, expected {wanted.dtype}")
    sound = tensor.to(wanted.dtype, copy=True)
    if not torch.isfinite(sound).all():
        raise WeightsError(f"{path}: {name} holds NaN or infinity; the file is damaged, get it again")
    return sound


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
    old = math.isqrt(max(1, stored.shape[1] - prefix))
    if old * old + prefix != stored.shape[1]:
        raise WeightsError(f"{POSITIONS}: {stored.shape[1]} positions with {prefix} before them are no square grid")
    grid = stored[:, prefix:].float().reshape(1, old, old, -1).permute(0, 3, 1, 2)  # (1, D, g, g)
    grid = interpolate(grid, (side, side), mode="bicubic", antialias=antialias, align_corners=False)  # (1, D, h, h)
    return torch.cat([stored[:, :prefix].float(), grid.flatten(2).transpose(1, 2)], dim=1)  # (1, P + h * h, D)

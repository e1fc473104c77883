"""The tensors of a model folder: read whole or not at all, and only what the card's head is made of."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from wsi.card import Head
from wsi.card_head import MAX_BYTES
from wsi.encode.weights import check_header
from wsi.errors import ModelError, UsageError, WeightsError
from wsi.mil import Head as Network
from wsi.mil import HeadSpec, OrderedCuts, head_type, make_head

MAX_HEADER_BYTES = 1 << 20
"""64 members of 12 tensors are named in 84 kB; a million names would fill the memory before one is looked at."""
OOD = ("ood.mean", "ood.axes", "ood.scale")
_FEW = 3


def read_tensors(path: Path, *, sha256: str | None = None) -> dict[str, Tensor]:
    """Return all tensors of a small safetensors file.

    Args:
        sha256: what the file must hash to; the bytes that are hashed are the bytes that are used.

    Raises:
        WeightsError: no such file, too large, another sha256, not safetensors, or cut off.
    """
    content = _content(path)
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise WeightsError(f"{path}: sha256 {found}, the card says {sha256}; get the folder again")
    check_header(path)
    header = int.from_bytes(content[:8], "little")
    if header > MAX_HEADER_BYTES:
        raise WeightsError(f"{path}: a header of {header} bytes; a head's has at most {MAX_HEADER_BYTES}")
    try:
        return safetensors.torch.load(content)
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a whole safetensors file ({error}); get the folder again") from error
    except KeyError as error:
        raise WeightsError(f"{path}: holds numbers of type {error}, which no head is made of") from error


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise WeightsError(f"{path}: no such file, but the card asks for it; get the folder again")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise WeightsError(f"{path}: {size} bytes; a head has at most {MAX_BYTES}: this is another file")
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: can't be read ({error.strerror or error})") from error


def sound(path: Path, name: str, tensor: Tensor) -> Tensor:
    """Return a tensor as float32; WeightsError when it isn't floating point or any of it isn't finite."""
    if not tensor.is_floating_point():
        raise WeightsError(f"{path}: {name} is of type {tensor.dtype}, expected floating point")
    found = tensor.float()
    if not bool(torch.isfinite(found).all()):
        raise WeightsError(f"{path}: {name} holds NaN or infinity; the file is damaged, get the folder again")
    return found


def make_members(head: Head, tensors: Mapping[str, Tensor], path: Path) -> list[Network]:
    """Return the networks that the card's head describes, with their weights.

    Raises:
        WeightsError: missing or unexpected names, shapes that don't fit the card, or values no head has.
    """
    prefixes = [f"members.{i}." for i in range(head.members)] if head.members > 1 else [""]
    parts = [{n.removeprefix(p): t for n, t in tensors.items() if n.startswith(p)} for p in prefixes]
    stray = [name for name in tensors if not name.startswith(tuple(prefixes))]
    if stray:
        raise WeightsError(f"{path}: unexpected {_few(stray)}; the names of {head.members} members start {prefixes[0]}")
    members = [_make_member(head, part, path, p) for part, p in zip(parts, prefixes, strict=True)]
    if len({member.dim for member in members}) > 1:
        raise WeightsError(f"{path}: the members read features of different widths")
    return members


def _make_member(head: Head, tensors: Mapping[str, Tensor], path: Path, prefix: str) -> Network:
    network = _empty(head, tensors, path, prefix)
    wanted = network.state_dict()
    missing, unexpected = [n for n in wanted if n not in tensors], [n for n in tensors if n not in wanted]
    if missing or unexpected:
        raise WeightsError(
            f"{path}: not the weights of this {head.type} {head.aggregate} head; missing "
            f"{_few([prefix + n for n in missing])}; unexpected {_few([prefix + n for n in unexpected])}"
        )
    for name, empty in wanted.items():
        if tensors[name].shape != empty.shape:
            found, expected = tuple(tensors[name].shape), tuple(empty.shape)
            raise WeightsError(f"{path}: {prefix}{name} has shape {found}, this head expects {expected}")
    loaded = {name: sound(path, prefix + name, tensors[name]) for name in wanted}
    network.load_state_dict(loaded, strict=True, assign=True)
    _check_values(head, network, path, prefix)
    return network.eval()


def _empty(head: Head, tensors: Mapping[str, Tensor], path: Path, prefix: str) -> Network:
    """Return the network that card and weights tell together, without memory for its own weights.

    Raises:
        ModelError: no such head, or none for this kind of target.
        WeightsError: a tensor that tells a width is missing or no matrix.
    """
    hidden, dim = _matrix(tensors, "embed.weight", path, prefix)
    try:
        telling = head_type(head.aggregate).width_tensor
        spec = HeadSpec(
            head.aggregate,
            head.type,
            len(head.classes),
            head.cuts,
            hidden=hidden,
            width=1 if telling is None else _matrix(tensors, telling, path, prefix)[0],
            activation=head.activation,
            heads=head.heads,
            landmarks=head.landmarks,
        )
        with torch.device("meta"):
            return make_head(spec, dim)
    except UsageError as error:
        raise ModelError(f"{path.parent}: the card asks for a {head.type} {head.aggregate} head: {error}") from error


def _matrix(tensors: Mapping[str, Tensor], name: str, path: Path, prefix: str) -> tuple[int, int]:
    """Return the shape of a matrix that every such head has."""
    found = tensors.get(name)
    if found is None or found.ndim != 2 or 0 in found.shape:
        has = "is missing" if found is None else f"has shape {tuple(found.shape)}"
        raise WeightsError(f"{path}: {prefix}{name} {has}; expected a matrix, as every such head has it")
    return found.shape[0], found.shape[1]


def _check_values(head: Head, network: Network, path: Path, prefix: str) -> None:
    """Raise WeightsError when the head's numbers are finite, but no head's."""
    std = network.norm.std
    if bool((std <= 0).any()):
        raise WeightsError(f"{path}: {prefix}norm.std must be positive, its least is {float(std.min())}")
    for name, module in network.named_modules():
        if not isinstance(module, OrderedCuts) or head.link != "cumulative":
            continue
        if bool((module.bias[1:] > module.bias[:-1]).any()):
            raise WeightsError(
                f"{path}: {prefix}{name}.bias must fall from grade to grade, found {module.bias.tolist()}"
            )


def _few(names: list[str]) -> str:
    first = ", ".join(sorted(names)[:_FEW])
    return f"{first} and {len(names) - _FEW} more" if len(names) > _FEW else first or "none"

"""features.h5: one feature a tile, as CLAM and TRIDENT write them, and theirs read as ours."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from wsi.encode.identity import EncoderIdentity, parse_identity
from wsi.errors import ArtifactError, EncoderMismatchError, ModelError
from wsi.hdf5 import Array, Attribute, read_arrays, whole, write_arrays

FORMAT = "wsi-features/1"
ATTRIBUTES = (
    "patch_size",
    "patch_level",
    "patch_size_level0",
    "level0_magnification",
    "target_magnification",
    "overlap",
    "level0_width",
    "level0_height",
    "tile_mpp",
    "slide_mpp_x",
    "slide_mpp_y",
    "footprint_x",
    "footprint_y",
    "stride_x",
    "stride_y",
)
"""Attributes of `coords` that are read back; others (paths among them) are left alone."""
MAX_RATIO = 64
"""How many times its stored bytes an array may unpack to: features hardly shrink, bombs by thousands."""
MAX_CHUNK_BYTES = 256 << 20
MAX_TEXT_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Features:
    """The bag of one slide.

    coords `(N, 2)` int32, level-0 px of the tiles' top-left corners; features `(N, D)` float32, finite;
    attributes as CLAM and TRIDENT name them; encoder is the name that the file gives, identity is None in
    files of other tools.
    """

    coords: NDArray[np.int32]
    features: NDArray[np.float32]
    attributes: Mapping[str, Attribute]
    encoder: str
    identity: EncoderIdentity | None

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or self.coords.shape != (len(self.features), 2):
            raise ValueError(f"coords {self.coords.shape} and features {self.features.shape} don't agree")

    def __len__(self) -> int:
        return len(self.features)


def write_features(
    path: Path,
    coords: NDArray[np.int32],
    blocks: Iterable[NDArray[np.float32]],
    *,
    identity: EncoderIdentity,
    attributes: Mapping[str, Attribute],
) -> str:
    """Publish features.h5 and return its sha256.

    Args:
        coords: `(N, 2)` level-0 px; N may be 0.
        blocks: the features of the tiles in order, `(n, D)` float32 each, `N` rows in all.
        attributes: of `coords`, from `wsi.tile.coords.patch_attributes`.

    Raises:
        ModelError: a feature is NaN or infinite; nothing is published.
    """
    rows = Array((len(coords), identity.dim), np.dtype(np.float32), _finite(blocks), {"name": identity.id})
    arrays = {"coords": whole(coords.astype(np.int32), attributes), "features": rows}
    own = {"format": FORMAT, "encoder": identity.to_json()}
    return write_arrays(path, arrays, {**attributes, **own})


def _finite(blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    for block in blocks:
        if not np.isfinite(block).all():
            raise ModelError("a feature is NaN or infinite and can't be stored")
        yield block


def read_features(path: Path) -> Features:
    """Read features of this tool, CLAM or TRIDENT; nothing of a damaged file is used.

    Raises:
        ArtifactError: not such a file, damaged, made to exhaust memory, or with NaN in it; a .pt file.
    """
    if path.suffix in (".pt", ".pth", ".pkl"):
        raise ArtifactError(f"{path}: pickled features can carry code and are never loaded; give the .h5 file")
    with read_arrays(path) as file:
        features = _array(path, file, "features", None).astype(np.float32, copy=False)
        coords = _array(path, file, "coords", 2)
        if len(features) != len(coords):
            raise ArtifactError(f"{path}: {len(features)} features but {len(coords)} coords; encode the slide again")
        identity = _identity(path, file, features.shape[1])
        name = identity.id if identity else _text(file["features"], "name")
        attributes = {key: value for key in ATTRIBUTES if (value := _scalar(file["coords"], key)) is not None}
    return Features(_int32(path, coords), features, attributes, name or "", identity)


def _array(path: Path, file: h5py.File, name: str, last: int | None) -> NDArray[np.generic]:
    """Return a checked array `(N, last)` of finite numbers."""
    data = file.get(name)
    if not isinstance(data, h5py.Dataset):
        raise ArtifactError(f"{path}: has no dataset {name!r}; expected features and coords")
    shape = data.shape[1:] if data.ndim == 3 and data.shape[0] == 1 else data.shape
    if len(shape) != 2 or (last is not None and shape[1] != last) or shape[1] == 0:
        raise ArtifactError(f"{path}: {name} has shape {data.shape}, expected (N, {last or 'D'})")
    if data.dtype.kind not in ("f" if last is None else "iuf"):
        raise ArtifactError(f"{path}: {name} is of type {data.dtype}, expected numbers")
    _refuse_bombs(path, data)
    values: NDArray[np.generic] = data[:].reshape(shape)
    if last is None:
        with np.errstate(over="ignore"):  # becomes infinity, which is refused
            values = values.astype(np.float32, copy=False)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ArtifactError(f"{path}: {name} holds NaN or infinity; encode the slide again")
    return values


def _refuse_bombs(path: Path, data: h5py.Dataset) -> None:
    claimed = math.prod(data.shape) * data.dtype.itemsize
    chunk = math.prod(data.chunks or (0,)) * data.dtype.itemsize
    stored = data.id.get_storage_size()
    packed = data.chunks is not None
    if claimed > stored * (MAX_RATIO if packed else 1) or chunk > max(MAX_CHUNK_BYTES, 2 * stored):
        raise ArtifactError(f"{path}: {data.name} claims {claimed} bytes but holds {stored}; the file is damaged")


def _int32(path: Path, coords: NDArray[np.generic]) -> NDArray[np.int32]:
    limits = np.iinfo(np.int32)
    whole_numbers = coords.astype(np.int64)
    if (whole_numbers != coords).any() or (whole_numbers < limits.min).any() or (whole_numbers > limits.max).any():
        raise ArtifactError(f"{path}: coords are no level-0 px; encode the slide again")
    return whole_numbers.astype(np.int32)


def _identity(path: Path, file: h5py.File, dim: int) -> EncoderIdentity | None:
    if _text(file, "format") != FORMAT:
        return None
    try:
        identity = parse_identity(_text(file, "encoder") or "")
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}; encode the slide again") from error
    if identity.dim != dim:
        raise ArtifactError(f"{path}: features are {dim} wide, their encoder's are {identity.dim}")
    return identity


def _scalar(item: h5py.Dataset, name: str) -> Attribute | None:
    """Return an attribute that is one number or one short text; None for all else."""
    if name not in item.attrs or item.attrs.get_id(name).shape != ():
        return None
    value = item.attrs[name]
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, int | float | str) and len(str(value)) <= MAX_TEXT_BYTES else None


def _text(item: h5py.File | h5py.Dataset, name: str) -> str | None:
    value = _scalar(item, name)
    return value if isinstance(value, str) else None


def combine(bags: list[Features]) -> Features:
    """Return one bag of several slides' tiles, in order: a case's slides. Attributes that differ are left out.

    Raises:
        EncoderMismatchError: they don't come from one encoder, run in one way.
        ValueError: there are none.
    """
    if not bags:
        raise ValueError("no bags to combine")
    first = bags[0]
    for other in bags[1:]:
        require_same_encoder(first, other)
    shared = {k: v for k, v in first.attributes.items() if all(bag.attributes.get(k) == v for bag in bags)}
    return replace(
        first,
        coords=np.concatenate([bag.coords for bag in bags]),
        features=np.concatenate([bag.features for bag in bags]),
        attributes=shared,
    )


def require_same_encoder(one: Features, other: Features) -> None:
    """Raise EncoderMismatchError when two bags come from different encoders."""
    if one.identity is not None and other.identity is not None:
        differences = one.identity.differences(other.identity)
    else:
        mine = (one.identity is None, one.encoder, one.features.shape[1])
        theirs = (other.identity is None, other.encoder, other.features.shape[1])
        differences = [] if mine == theirs else [f"encoder: {mine[1:]}, {theirs[1:]}"]
    if differences:
        raise EncoderMismatchError(
            f"bags of different encoders don't mix: {one.encoder or 'unknown'} and {other.encoder or 'unknown'} "
            f"({'; '.join(differences)}); encode all slides in one way"
        )

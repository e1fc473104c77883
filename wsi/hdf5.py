"""Arrays and attributes in one HDF5 file, published whole.

h5py lays out an empty file in memory; the arrays themselves are written by plain file calls at the
offsets it reserved. So every disk error is an OSError that can't be lost (h5py can drop rows on a full
disk and exit 0), the bytes depend on the content alone, and an array larger than memory can be streamed.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from wsi.errors import ArtifactError
from wsi.publish import publishing, sha256_file

Attribute = str | int | float | bool
_BLOCK = 1 << 22
_HEAP = b"GCOL\x01\0\0\0"
_MAX_HEAP_BYTES = 1 << 24
"""Files of features hold a few kB of texts."""


@dataclass(frozen=True, slots=True)
class Array:
    """One dataset to write: its shape, type, rows in order (whole, or block by block) and attributes."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    blocks: Iterable[NDArray[np.generic]]
    attributes: Mapping[str, Attribute]


def whole(values: NDArray[np.generic], attributes: Mapping[str, Attribute] | None = None) -> Array:
    """Wrap an array that is already in memory."""
    return Array(values.shape, values.dtype, [values], attributes or {})


class _Sparse(io.RawIOBase):
    """A file in memory that keeps only what was written to it, however large it claims to be."""

    def __init__(self) -> None:
        self.pieces: dict[int, bytes] = {}
        self.length = 0
        self.place = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self.place = offset + (0, self.place, self.length)[whence]
        return self.place

    def tell(self) -> int:
        return self.place

    def truncate(self, size: int | None = None) -> int:
        self.length = self.place if size is None else size
        return self.length

    def write(self, content: bytes) -> int:  # type: ignore[override]
        self.pieces[self.place] = bytes(content)
        self.place += len(content)
        self.length = max(self.length, self.place)
        return len(content)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        start, end = self.place, self.place + len(buffer)
        buffer[:] = bytes(len(buffer))
        for at, piece in self.pieces.items():
            low, high = max(at, start), min(at + len(piece), end)
            if low < high:
                buffer[low - start : high - start] = piece[low - at : high - at]
        self.place = end
        return len(buffer)


def write_arrays(path: Path, arrays: Mapping[str, Array], attributes: Mapping[str, Attribute]) -> str:
    """Publish `arrays` (contiguous) and the file's `attributes` at `path`; return the file's sha256.

    Raises:
        NoSpaceError: the disk is full; nothing was published.
        ValueError: the blocks of an array don't add up to its shape.
    """
    skeleton, offsets = _lay_out(arrays, attributes)
    with publishing(path) as part:
        with part.open("rb+") as file:
            file.truncate(skeleton.length)
            for at, piece in skeleton.pieces.items():
                file.seek(at)
                file.write(piece)
            for name, array in arrays.items():
                _write_blocks(file, array, offsets[name])
        digest = sha256_file(part)
    if sha256_file(path) != digest:
        raise ArtifactError(f"{path}: the disk gave back other bytes than were written; check the disk")
    return digest


def _lay_out(arrays: Mapping[str, Array], attributes: Mapping[str, Attribute]) -> tuple[_Sparse, dict[str, int | None]]:
    skeleton = _Sparse()
    offsets: dict[str, int | None] = {}
    with h5py.File(skeleton, "w", track_order=False) as file:
        file.attrs.update(attributes)
        for name, array in arrays.items():
            create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            create.set_layout(h5py.h5d.CONTIGUOUS)
            create.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            create.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            create.set_obj_track_times(False)
            kind = h5py.h5t.py_create(array.dtype, logical=True)
            space = h5py.h5s.create_simple(array.shape)
            dataset = h5py.Dataset(h5py.h5d.create(file.id, name.encode(), kind, space, create))
            dataset.attrs.update(array.attributes)
            offsets[name] = dataset.id.get_offset()
    return skeleton, offsets


def _write_blocks(file: io.BufferedRandom, array: Array, offset: int | None) -> None:
    size = int(np.prod(array.shape)) * array.dtype.itemsize
    written = 0
    if offset is not None:
        file.seek(offset)
        for block in array.blocks:
            content = np.ascontiguousarray(block, dtype=array.dtype)
            file.write(content.data.cast("B") if content.size else b"")
            written += content.nbytes
    if written != size:
        raise ValueError(f"expected {size} bytes of {array.shape} {array.dtype}, was given {written}")


@contextmanager
def read_arrays(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file that may be damaged or hostile; ArtifactError when it isn't one.

    Links that leave the file and datasets stored outside it are refused.
    """
    try:
        _refuse_endless_heaps(path)
        with h5py.File(path, "r", locking=False) as file:  # published files never change; NFS may lack locks
            _refuse_outside(file, path)
            yield file
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:  # TypeError: of a type NumPy lacks
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"{path}: not a readable HDF5 file ({error}); make it again") from error


def _refuse_endless_heaps(path: Path) -> None:
    """Refuse texts that HDF5 would look for without end.

    It keeps texts in heaps of objects, and steps from one object to the next by the size that each claims: by
    nothing, forever, where a free one claims to be empty. Such a call can't be interrupted.
    """
    with path.open("rb") as file:
        before, start = b"", 0
        while block := file.read(_BLOCK):
            piece = before + block
            at = piece.find(_HEAP)
            while at >= 0:
                resume = file.tell()
                _walk_heap(file, start - len(before) + at, path)
                file.seek(resume)
                at = piece.find(_HEAP, at + 1)
            before, start = piece[1 - len(_HEAP) :], start + len(block)


def _walk_heap(file: io.BufferedReader, at: int, path: Path) -> None:
    file.seek(at + len(_HEAP))
    size = int.from_bytes(file.read(8), "little")
    if size > _MAX_HEAP_BYTES:
        raise ArtifactError(f"{path}: claims {size} bytes of texts; the file is damaged")
    heap = file.read(size - 16) if size > 16 else b""
    place = 0
    while place + 16 <= len(heap):
        number = int.from_bytes(heap[place : place + 2], "little")
        claimed = int.from_bytes(heap[place + 8 : place + 16], "little")
        step = 16 + (claimed + 7) // 8 * 8 if number else claimed
        if not 16 <= step <= len(heap) - place:
            raise ArtifactError(f"{path}: a text claims {claimed} bytes where {len(heap) - place} are left")
        place += step


def _refuse_outside(file: h5py.File, path: Path) -> None:
    for name in file:
        link = file.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ArtifactError(f"{path}: {name!r} is a link, expected data stored in the file itself")
        item = file[name]
        if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
            raise ArtifactError(f"{path}: {name!r} is stored in another file, expected it here")

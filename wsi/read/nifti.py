"""NIfTI-1 and -2 volumes: the header read by nibabel, checked, and only then the samples."""

import gzip
import io
import logging
import math
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import nibabel
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from wsi.errors import FormatError, SlideError, UnreadableError
from wsi.field import volume_field
from wsi.read.field_info import MEASURED, FieldInfo, FieldReading, check_room
from wsi.read.finite import made_finite

# What nibabel finds odd in a header is told by our errors and findings.
logging.getLogger("nibabel").addHandler(logging.NullHandler())

FAULTS = (OSError, EOFError, zlib.error, ValueError, TypeError, KeyError, OverflowError, HeaderDataError)
"""What gzip and nibabel raise on damaged files."""
MAX_EXTENSIONS = 16 << 20
"""Bytes between header and samples, where programs keep notes; they are passed over, never read into a value."""
HEADERS: dict[int, Any] = {348: nibabel.Nifti1Header, 540: nibabel.Nifti2Header}
_GZIP = b"\x1f\x8b"
_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
"""mm in a unit of xyzt_units: unknown (taken as mm), meter, mm, micron."""
AGREE = 0.01
"""The two orientations of one header, and its two statements of spacing, agree to within this share of a step."""
BYTES_A_SAMPLE = 8
"""Memory a sample takes besides what is stored: as float32, and a copy."""


def read_nifti(path: Path, *, limit: int) -> FieldReading:
    """Return a volume with its orientation kept: the sform's where there is one, else the qform's.

    int16 and smaller stay as they are when nothing scales them, all else becomes float32 with scl_slope and scl_inter
    applied. Samples that aren't finite become the least one that is.

    Raises:
        UnreadableError: damaged or cut off. FormatError: not three axes, no orientation, colors or complex samples,
        or the samples in another file. TooLargeError: it claims more than `limit` bytes.
    """
    try:
        with _opened(path) as file, np.errstate(invalid="ignore", over="ignore"):
            header, magic = _header(file)
            shape = _shape(header, magic)
            dtype = header.get_data_dtype()
            offset, count = int(header["vox_offset"]), math.prod(shape)
            _check_samples(dtype, offset, header)
            check_room(count * (dtype.itemsize + BYTES_A_SAMPLE), limit, what="the volume")
            affine, findings = _affine(header)
            _skip(file, offset - int(header["sizeof_hdr"]))
            stored = file.read(count * dtype.itemsize + 1)  # gzip compares its checksum only at the end
        if len(stored) < count * dtype.itemsize:
            raise UnreadableError(
                f"cut off: {len(stored):,} bytes of samples, expected {count * dtype.itemsize:,}; copy it again"
            )
        values, more = _values(np.frombuffer(stored, dtype, count).reshape(shape, order="F"), header)
        field = volume_field(values[None], affine, MEASURED)
    except FAULTS as error:
        if isinstance(error, SlideError):
            raise
        raise UnreadableError(f"a damaged NIfTI file ({type(error).__name__}); copy it again") from None
    bits = dtype.itemsize * 8
    return FieldReading(field, FieldInfo("nifti", "", 3, MEASURED, bits, field.steps, (*findings, *more)))


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        is_packed = file.read(2) == _GZIP
    return cast("BinaryIO", gzip.open(path, "rb")) if is_packed else path.open("rb")


def _header(file: BinaryIO) -> tuple[Any, bytes]:
    """Return the header and its magic word."""
    size = file.read(4)
    known = {
        int.from_bytes(size, order): order for order in ("little", "big") if int.from_bytes(size, order) in HEADERS
    }
    if not known:
        raise UnreadableError("no NIfTI header; convert it with dcm2niix or nibabel")
    length = next(iter(known))
    block = size + file.read(length - 4)
    if len(block) < length:
        raise UnreadableError("the header is cut off; copy the file again")
    header = HEADERS[length].from_fileobj(io.BytesIO(block), check=False)
    return header, bytes(header["magic"].tobytes()[:4]).rstrip(b"\0")


def _shape(header: Any, magic: bytes) -> tuple[int, int, int]:
    """Return the three sizes; axes of size 1 after them are dropped."""
    if magic in (b"ni1", b"ni2"):
        raise FormatError("a header without samples (.hdr with .img); convert the pair into one .nii file")
    if magic not in (b"n+1", b"n+2"):
        raise FormatError("an Analyze file, which keeps no orientation; convert the original to NIfTI")
    shape = [int(size) for size in header["dim"][1 : max(0, min(7, int(header["dim"][0]))) + 1]]
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    if len(shape) != 3:
        raise FormatError(
            f"{len(shape)} axes ({' x '.join(map(str, shape))}); expected a volume of three: split it first, one time "
            "point or contrast a file"
        )
    if min(shape) < 1:
        raise UnreadableError(f"claims {' x '.join(map(str, shape))} samples; the header is damaged")
    return shape[0], shape[1], shape[2]


def _check_samples(dtype: np.dtype[Any], offset: int, header: Any) -> None:
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise FormatError(f"samples of kind {dtype.name}; expected one real number each: convert it")
    least = int(header["sizeof_hdr"])
    if not least <= offset <= least + MAX_EXTENSIONS:
        raise UnreadableError(f"claims that its samples start at byte {offset:,}; the header is damaged")


def _affine(header: Any) -> tuple[NDArray[np.float64], list[str]]:
    """Return the matrix `(4, 4)` to RAS+ in mm, and what was noticed about it."""
    unit = int(header["xyzt_units"]) & 7
    if unit not in _MM:
        raise UnreadableError(f"claims the unit of length {unit}; the header is damaged")
    forms = [
        np.asarray(form, np.float64)
        for code, form in ((int(header["sform_code"]), header.get_sform()), (int(header["qform_code"]), _qform(header)))
        if code > 0
    ]
    if not forms:
        raise FormatError(
            "neither an sform nor a qform, so left can't be told from right; write the orientation into it from the "
            "original, as dcm2niix does"
        )
    affine = forms[0].copy()
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or not sizes.all() or abs(np.linalg.det(affine[:3, :3])) < 1e-6 * sizes.prod():
        raise UnreadableError("its orientation is no rotation that can be undone; the header is damaged")
    findings = ["its unit of length isn't stated: taken as mm"] * (unit == 0)
    if len(forms) == 2 and np.abs(forms[0] - forms[1])[:3, :3].max() > AGREE * sizes.min():
        findings.append("sform and qform disagree: the sform was taken")
    if np.abs(np.asarray(header["pixdim"][1:4], np.float64) - sizes).max() > AGREE * sizes.min():
        findings.append("pixdim isn't the spacing of its affine: the affine was taken")
    affine[:3] *= _MM[unit]
    return affine, findings


def _qform(header: Any) -> NDArray[np.float64]:
    return np.asarray(header.get_qform()) if int(header["qform_code"]) > 0 else np.eye(4)


def _skip(file: BinaryIO, wanted: int) -> None:
    while wanted > 0 and (part := file.read(min(wanted, 1 << 20))):
        wanted -= len(part)


def _values(stored: NDArray[Any], header: Any) -> tuple[NDArray[Any], list[str]]:
    """Return the samples in the world's unit, and what was noticed."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    scaled = math.isfinite(slope) and slope != 0 and (slope, intercept) != (1.0, 0.0)
    if scaled and not math.isfinite(intercept):
        raise UnreadableError("scales its samples by a number that isn't finite; the header is damaged")
    if not scaled and stored.dtype.kind in "iu" and np.can_cast(stored.dtype, np.int16):
        return np.ascontiguousarray(stored.astype(np.int16)), []
    with np.errstate(over="ignore", invalid="ignore"):
        values = stored.astype(np.float32, order="C")
        if scaled:
            values *= np.float32(slope)
            values += np.float32(intercept)
    return made_finite(values)

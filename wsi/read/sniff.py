"""What a file is by its first bytes, not by its name."""

import re
import stat
from pathlib import Path

HEAD_BYTES = 256
SLIDE_SUFFIXES = frozenset(
    f".{kind}"
    for kind in (
        *("svs", "svslide", "tif", "tiff", "btf", "tf8", "tf2", "qptiff", "ndpi", "vms", "vmu", "scn", "mrxs", "bif"),
        *("dcm", "czi", "zvi", "isyntax", "ets", "vsi", "afi", "jp2", "jpx", "png", "jpg", "jpeg", "bmp", "webp"),
    )
)
"""Suffixes by which a file that can't be opened still counts as a slide, and is refused by name."""
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\0\0\0\x0cjP  ")
_KNOWN = (*_TIFF, *_PICTURES, b"ZISRAWFILE", b"BM")
NIFTI_SUFFIXES = (".nii", ".nii.gz")
_NIFTI = tuple(size.to_bytes(4, order) for size in (348, 540) for order in ("little", "big"))
"""The size of a NIfTI header, 1 or 2, in either byte order."""
_FOREIGN = (
    (rb"GIF8[79]a", "GIF", "PNG, as ImageMagick's `magick` does"),
    (rb"....ftyp(heic|heix|heim|heis|hevc|hevx|mif1|msf1)", "HEIC", "JPEG or PNG, as libheif's `heif-convert` does"),
    (rb"....ftypavi[fs]", "AVIF", "PNG, as libavif's `avifdec` does"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL", "PNG, as libjxl's `djxl` does"),
    (rb"NRRD000", "NRRD", "NIfTI, as 3D Slicer or SimpleITK does"),
    (rb"(ObjectType|NDims) *=", "MetaImage", "NIfTI, as 3D Slicer or SimpleITK does"),
)
"""First bytes of images that aren't read here, what they are, and how they become what is."""
_LFS = b"version https://git-lfs"


def read_head(path: Path) -> bytes:
    """Return the first bytes of a file; OSError for what isn't one (a FIFO would wait for ever)."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("not a regular file")
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def is_tiff(path: Path) -> bool:
    return read_head(path).startswith(_TIFF)


def is_dicom(head: bytes) -> bool:
    return head[128:132] == b"DICM"


def is_picture(head: bytes) -> bool:
    """Return whether a file is a PNG, JPEG, JPEG 2000, WebP or BMP."""
    return head.startswith((*_PICTURES, b"BM")) or is_webp(head)


def is_webp(head: bytes) -> bool:
    return head.startswith(b"RIFF") and head[8:12] == b"WEBP"


def is_nifti(path: Path, head: bytes) -> bool:
    """Return whether a file is, or by its name wants to be, NIfTI: .nii, .nii.gz, or its first field says so."""
    return path.name.lower().endswith(NIFTI_SUFFIXES) or head[:4] in _NIFTI


def is_slide(path: Path, head: bytes) -> bool:
    """Return whether a file is, or by its name wants to be, a slide or an image."""
    suffix = path.suffix.lower()
    known = head.startswith(_KNOWN[:-1]) or (head.startswith(b"BM") and suffix == ".bmp") or is_dicom(head)
    return known or is_webp(head) or is_nifti(path, head) or suffix in SLIDE_SUFFIXES or bool(foreign(head))


def foreign(head: bytes) -> str:
    """Return what an image of a format that isn't read here is, and what reads it; "" of all else."""
    told = (
        f"the file is {name}, which isn't read here; write it as {way}"
        for start, name, way in _FOREIGN
        if _starts(start, head)
    )
    return next(told, "")


def _starts(pattern: bytes, head: bytes) -> bool:
    return re.match(pattern, head, re.DOTALL) is not None


def describe_head(head: bytes) -> str:
    """Return what a file that can't be opened looks like, and what to do about it."""
    if not head:
        return "the file is empty; copy it again from where it came"
    if head.startswith(_LFS):
        return "the file is a git-LFS pointer, not the slide itself; run `git lfs pull`"
    if head.startswith(b"SIMPLE  ="):
        return "the file is FITS, which is not a slide format"
    if head.startswith(_KNOWN) or is_dicom(head):
        return "the file is damaged or cut off; copy it again and compare its size with the original"
    if re.fullmatch(rb"[\t\n\r\x20-\x7e\x80-\xff]*", head) and b"\0" not in head:
        return "the file holds text, not an image"
    return "no format known here; export it as pyramidal TIFF or DICOM from the scanner's software"

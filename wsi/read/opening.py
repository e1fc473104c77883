"""Open a slide with the reader that fits its content."""

import contextlib
import itertools
from pathlib import Path
from typing import cast

from wsi import registry
from wsi.errors import (
    FormatError,
    ModalityError,
    RegionError,
    SlideError,
    TooLargeError,
    UnreadableError,
    UsageError,
    did_you_mean,
)
from wsi.geometry import Point, Region, Size
from wsi.printable import spelled_name
from wsi.read.frames import check_frame
from wsi.read.modality import check_side, check_tiff
from wsi.read.sniff import describe_head, foreign, is_dicom, is_nifti, is_picture, is_tiff, read_head
from wsi.read.source import Reader, Source

PLUGINS = "wsi.readers"
AUTO = "auto"
READERS = ("openslide", "tiffslide", "dicom", "image")
ONE_LEVEL_PX = 16 << 20
"""A slide with one level and more px than this is worth asking a second reader for its pyramid."""
_JPEG_INSIDE = (".mrxs", ".vms", ".vmu")
"""Suffixes of slides whose first file may be a picture by its content."""
_PROBES = tuple(itertools.product((0.5, 0.0, 0.25, 0.75, 1.0), repeat=2))
"""Where, as shares of the sides, a slide is tried before it is given up as undecodable."""


def open_slide(path: Path, *, reader: str = AUTO) -> Source:
    """Return the open slide.

    By content, not by suffix: plug-ins that know the file, then OpenSlide, then tiffslide where OpenSlide can't or
    sees fewer levels, our own reader for DICOM that OpenSlide refuses, Pillow for pictures.

    Args:
        path: the slide's file; of a DICOM series any one, of MIRAX the .mrxs.
        reader: auto, or the name of the only one to try.

    Raises:
        UnreadableError, FormatError: no reader can open it; the message says what each found.
        ModalityError: not 8-bit RGB brightfield. TooLargeError: a claim beyond sense.
        UsageError: no reader of that name.
    """
    try:
        head = read_head(path)
    except OSError as error:
        raise UnreadableError(
            f"{spelled_name(path.name)}: can't be read ({error.strerror or error}); check the file's permissions"
        ) from error
    try:
        source = _open_any(path, head) if reader == AUTO else _open_with(reader, path)
    except SlideError as error:
        raise type(error)(f"{spelled_name(path.name)}: {error}") from error
    try:
        _check(source)
    except SlideError as error:
        source.close()
        raise type(error)(f"{spelled_name(path.name)}: {error}") from error
    return source


def _open_with(reader: str, path: Path) -> Source:
    plugins = registry.plugins(PLUGINS)
    if reader in plugins:
        return _plugin(reader).open(path)
    if reader not in READERS:
        raise UsageError(
            f"--reader {reader!r}: no such reader; known: auto, {', '.join((*READERS, *plugins))}."
            f"{did_you_mean(reader, (*READERS, *plugins))}"
        )
    if is_tiff(path):
        check_tiff(path)
    elif is_dicom(read_head(path)):
        _check_dicom(path)
    if reader == "image":
        from wsi.read.image_reader import ImageSource

        return ImageSource(path)
    if reader == "tiffslide":
        from wsi.read.tiffslide_reader import TiffSlideSource

        return TiffSlideSource(path)
    if reader == "dicom":
        from wsi.read.dicom_reader import DicomSource

        return DicomSource(path)
    from wsi.read.direct_source import direct
    from wsi.read.openslide_reader import OpenSlideSource

    source = OpenSlideSource(path)
    return direct(source, path) if is_tiff(path) else source


def _plugin(name: str) -> Reader:
    return cast("Reader", registry.load(PLUGINS, name))


def _open_any(path: Path, head: bytes) -> Source:
    for name in registry.plugins(PLUGINS):
        if _plugin(name).sniff(path, head):
            return _plugin(name).open(path)
    _refuse_other_images(path, head)
    errors: list[SlideError] = []
    for name in _order(path, head):
        try:
            return _with_more_levels(_open_with(name, path), path)
        except (UnreadableError, FormatError) as error:
            errors.append(error)
    reasons = dict.fromkeys(str(error) for error in errors)
    if any(isinstance(error, FormatError) for error in errors):
        raise FormatError("; ".join(reasons))
    raise UnreadableError(f"{describe_head(head)} ({'; '.join(reasons)})")


def _refuse_other_images(path: Path, head: bytes) -> None:
    """Refuse what says of itself that it is no slide, before readers of slides fail on it; ModalityError."""
    if is_nifti(path, head):
        raise ModalityError("a volume (NIfTI); expected a slide: choose a model of volumes")
    if told := foreign(head):
        raise FormatError(told)
    if is_dicom(head):
        with contextlib.suppress(UnreadableError, TooLargeError):  # the readers say it better
            _check_dicom(path)


def _order(path: Path, head: bytes) -> tuple[str, ...]:
    """Return the names of the readers to try, the best first."""
    if is_picture(head) and path.suffix.lower() not in _JPEG_INSIDE:
        return ("image",)
    if is_dicom(head):
        return ("openslide", "dicom")
    return ("openslide", "tiffslide") if is_tiff(path) else ("openslide",)


def _with_more_levels(source: Source, path: Path) -> Source:
    """Return tiffslide's view of a large TIFF of which OpenSlide sees one level, when it sees more."""
    full = source.levels[0].size
    if source.reader != "openslide" or len(source.levels) > 1 or full.area < ONE_LEVEL_PX or not is_tiff(path):
        return source
    try:
        other = _open_with("tiffslide", path)
    except SlideError:
        return source
    if len(other.levels) > 1 and other.levels[0].size == full:
        source.close()
        return other
    other.close()
    return source


def _check(source: Source) -> None:
    """Refuse a slide of impossible size, and one of which no px can be decoded; a damaged part is no reason.

    Raises:
        TooLargeError, FormatError, UnreadableError.
    """
    for each in source.levels:
        check_side(each.size)
        if not each.size.area:
            raise FormatError("the slide has no px")
    reason: RegionError | None = None
    for level in reversed(range(len(source.levels))):
        for across, down in _PROBES:
            size = source.levels[0].size
            place = Point(int(across * (size.width - 1)), int(down * (size.height - 1)))
            try:
                source.read_region(Region(place, level, Size(1, 1)))
            except RegionError as error:
                reason = error
            else:
                return
    raise UnreadableError(f"its header is sound, but no px can be decoded ({reason}); copy it again") from reason


def _check_dicom(path: Path) -> None:
    """Refuse DICOM that isn't a whole slide of 8-bit RGB, and frames that can't be held."""
    from wsi.read.dicom_header import DICOM_FAULTS, read_header
    from wsi.read.dicom_reader import WSI_CLASS

    try:
        found = read_header(path, ["SOPClassUID", "Modality", "SamplesPerPixel", "BitsAllocated", "Rows", "Columns"])
        kind, modality = str(found.get("SOPClassUID", "")), str(found.get("Modality", "unknown"))[:16]
        samples, bits = int(found.get("SamplesPerPixel", 3)), int(found.get("BitsAllocated", 8))
        frame = Size(int(found.get("Columns", 1)), int(found.get("Rows", 1)))
    except DICOM_FAULTS as error:
        raise UnreadableError(str(error)) from error
    if kind != WSI_CLASS:
        raise ModalityError(f"a DICOM image of modality {modality!r}; expected a whole-slide microscopy image (SM)")
    if (samples, bits) != (3, 8):
        raise ModalityError(f"{samples} channels of {bits} bits; expected 8-bit RGB brightfield")
    check_frame(frame)

"""Open a slide with the reader that fits its content."""

from pathlib import Path

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
from wsi.read.modality import check_tiff
from wsi.read.sniff import describe_head, is_dicom, is_tiff, read_head
from wsi.read.source import Reader, Source

PLUGINS = "wsi.readers"
AUTO = "auto"
READERS = ("openslide", "tiffslide", "image")
ONE_LEVEL_PX = 16 << 20
"""A slide with one level and more px than this is worth asking a second reader for its pyramid."""
_WSI_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.6"


def open_slide(path: Path, *, reader: str = AUTO) -> Source:
    """Return the open slide.

    By content, not by suffix: plug-ins that know the file, then OpenSlide, then tiffslide where OpenSlide can't or
    sees fewer levels, then Pillow for pictures.

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
            f"{path.name}: can't be read ({error.strerror or error}); check the file's permissions"
        ) from error
    try:
        if reader != AUTO:
            return _checked(_open_with(reader, path), path)
        return _checked(_open_any(path, head), path)
    except (ModalityError, TooLargeError, FormatError) as error:
        raise type(error)(f"{path.name}: {error}") from error


def _open_with(reader: str, path: Path) -> Source:
    plugins = registry.plugins(PLUGINS)
    if reader not in (*READERS, *plugins):
        raise UsageError(
            f"--reader {reader!r}: no such reader; known: auto, {', '.join((*READERS, *plugins))}."
            f"{did_you_mean(reader, (*READERS, *plugins))}"
        )
    if reader == "image":
        from wsi.read.image_reader import ImageSource

        return ImageSource(path)
    if reader in plugins:
        return _plugin(reader).open(path)
    if is_tiff(path):
        check_tiff(path)
    if reader == "tiffslide":
        from wsi.read.tiffslide_reader import TiffSlideSource

        return TiffSlideSource(path)
    from wsi.read.openslide_reader import OpenSlideSource

    return OpenSlideSource(path)


def _plugin(name: str) -> Reader:
    found = registry.load(PLUGINS, name)
    return found  # type: ignore[return-value]


def _open_any(path: Path, head: bytes) -> Source:
    for name in registry.plugins(PLUGINS):
        if _plugin(name).sniff(path, head):
            return _plugin(name).open(path)
    if is_dicom(head):
        _check_dicom(path)
    reasons = []
    if _is_picture(head) and path.suffix.lower() not in (".mrxs", ".vms", ".vmu"):
        order: tuple[str, ...] = ("image",)
    else:
        order = ("openslide", "tiffslide") if is_tiff(path) else ("openslide",)
    for name in order:
        try:
            source = _open_with(name, path)
        except (UnreadableError, FormatError) as error:
            reasons.append(str(error))
            continue
        return _with_more_levels(source, path)
    raise UnreadableError(f"{path.name}: {describe_head(path, head)} ({'; '.join(reasons)})")


def _is_picture(head: bytes) -> bool:
    return head.startswith((b"\x89PNG", b"\xff\xd8\xff", b"BM"))


def _with_more_levels(source: Source, path: Path) -> Source:
    """Return tiffslide's view of a large TIFF of which OpenSlide sees one level, when it sees more."""
    if (
        source.reader != "openslide"
        or len(source.levels) > 1
        or source.levels[0].size.area < ONE_LEVEL_PX
        or not is_tiff(path)
    ):
        return source
    try:
        other = _open_with("tiffslide", path)
    except SlideError:
        return source
    if len(other.levels) > 1 and other.levels[0].size == source.levels[0].size:
        source.close()
        return other
    other.close()
    return source


def _checked(source: Source, path: Path) -> Source:
    """Return the source once a px of it could be read, so that a dead one is refused before any work."""
    size = source.levels[0].size
    if not size.area:
        raise FormatError("the slide has no px")
    try:
        last = len(source.levels) - 1
        source.read_region(Region(Point(0, 0), last, Size(1, 1)))
    except RegionError:
        pass  # a damaged corner is not a damaged slide; its tiles are counted later
    return source


def _check_dicom(path: Path) -> None:
    """Refuse DICOM that isn't a whole slide; WSI goes to OpenSlide."""
    import pydicom

    try:
        found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID", "Modality"])
    except (
        pydicom.errors.InvalidDicomError,
        OSError,
        ValueError,
        KeyError,
        AttributeError,
        NotImplementedError,
    ) as error:
        raise UnreadableError(f"{path.name}: a damaged DICOM file ({error}); copy it again") from error
    if str(found.get("SOPClassUID", "")) != _WSI_CLASS:
        modality = str(found.get("Modality", "unknown"))[:16]
        raise ModalityError(f"a DICOM image of modality {modality!r}; expected a whole-slide microscopy image (SM)")

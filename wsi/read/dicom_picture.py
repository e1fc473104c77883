"""One DICOM image as a picture: radiograph, photograph, ultrasound frame, or a single slice."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_color_lut

from wsi.errors import FormatError
from wsi.field import picture_field
from wsi.read.codecs import COLORS, Layout, frame, layout_of
from wsi.read.dicom_file import named_faults, numbers, open_dicom, word
from wsi.read.dicom_shown import WHITE, measured, padded, shown
from wsi.read.field_info import GRAY, MEASURED, RGB, FieldInfo, FieldReading
from wsi.read.finite import made_finite
from wsi.read.pixels import as_channels, fold_gray

MEASURING = ("CT", "MR", "PT", "NM")
"""Modalities whose values are measured, and are kept as they are; all others are pictures for the eye."""

_GROUPS = {
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
    "PixelMeasuresSequence": ("PixelSpacing",),
}
"""Functional groups of a frame, and what of them a picture needs."""


def read_dicom_picture(path: Path, modality: str, *, limit: int) -> FieldReading:
    """Return one image: values as a display shows them on 0-255, or as measured for CT, MR, PT and NM.

    Raises:
        UnreadableError: damaged or cut off. FormatError: several frames, or px that can't be decoded here.
        TooLargeError: it claims more than `limit` bytes.
    """
    with named_faults():
        found = open_dicom(path, limit=limit, pixels=True)
        layout = layout_of(found, limit=limit)
        if layout.frames > 1:
            raise FormatError(
                f"{layout.frames} frames without positions in space (a film); expected one picture: export the frame "
                "that matters"
            )
        _bring_up(found)
        samples = frame(found, layout, 0)
        findings = _noticed(found)
        if layout.kind in COLORS:
            values, more = _color(samples, layout)
        elif layout.kind == "PALETTE COLOR":
            values, more = _palette(samples[..., 0], found), ["palette turned into RGB"]
        elif modality in MEASURING:
            values, more = _measured(samples[..., 0], found, layout)
        else:
            padding = padded(samples[..., 0], found, layout)
            picture, more = shown(samples[..., 0], found, layout, padding=padding)
            values = picture[None]
        spacing = numbers(found, "PixelSpacing") or numbers(found, "ImagerPixelSpacing")
    values, was_gray = fold_gray(values)
    findings += more + ["three equal channels read as gray"] * was_gray
    is_measured = modality in MEASURING and layout.samples == 1 and len(values) == 1
    channels = MEASURED if is_measured else GRAY if len(values) == 1 else RGB
    field = picture_field(values, channels)
    usable = spacing if len(spacing) == 2 and min(spacing) > 0 else None
    return FieldReading(field, FieldInfo("dicom", modality, 2, channels, layout.stored, usable, tuple(findings)))


def _bring_up(found: pydicom.Dataset) -> None:
    """Set what the functional groups of a file's only frame say, where the header itself doesn't (PS3.3 C.7.6.16)."""
    for place in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        for group in (found.get(place) or [])[:1]:
            for name, elements in _GROUPS.items():
                for part in (group.get(name) or [])[:1]:
                    for element in elements:
                        if element in part and element not in found:
                            found.add(part[element])


def _noticed(found: pydicom.Dataset) -> list[str]:
    findings = []
    if word(found, "BurnedInAnnotation", ("YES",), "") == "YES":
        findings.append("the file says that text is burned into its px")
    if word(found, "LossyImageCompression", ("01",), "") == "01":
        findings.append("compressed with loss at some time")
    return findings


def _color(samples: NDArray[Any], layout: Layout) -> tuple[NDArray[Any], list[str]]:
    if samples.dtype == np.uint8:
        return as_channels(samples), []
    top = 2**layout.stored - 1
    return as_channels(samples.astype(np.float32) * np.float32(WHITE / top)), []


def _palette(samples: NDArray[Any], found: pydicom.Dataset) -> NDArray[Any]:
    """Return the colors of numbers into a palette, `(3, h, w)` on 0-255."""
    picked = apply_color_lut(samples.astype(np.uint16), found)
    if picked.dtype == np.uint8:
        return as_channels(picked)
    if not (picked & 255).any():  # 8-bit colors, kept in the upper byte
        return as_channels((picked >> 8).astype(np.uint8))
    return as_channels(picked.astype(np.float32) * np.float32(WHITE / 65535))


def _measured(samples: NDArray[Any], found: pydicom.Dataset, layout: Layout) -> tuple[NDArray[np.float32], list[str]]:
    values, findings = made_finite(measured(samples, found))
    padding = padded(samples, found, layout)
    if padding is not None and not padding.all():
        values[padding] = values[~padding].min()
        findings.append("padding set to the least value")
    return values[None], findings

"""From stored values to what they mean: modality LUT, then the VOI LUT or window that a display applies."""

from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from wsi.errors import UnreadableError
from wsi.read.codecs import Layout
from wsi.read.dicom_file import number, numbers, word

WHITE = 255.0
INNER = (0.5, 99.5)
"""Percentiles between which a picture's own values lie, but for hot px and letters of lead."""
FEW = 0.5
"""Share of the way from the least to the greatest value that they take at least, where there are no hot px."""
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def measured(values: NDArray[Any], header: pydicom.Dataset) -> NDArray[np.float32]:
    """Return stored values in their unit (HU): by the modality LUT, else times RescaleSlope plus RescaleIntercept.

    Source: PS3.3 C.11.1.
    """
    if header.get("ModalityLUTSequence"):
        return _looked_up(values, header.ModalityLUTSequence[0])
    slope, intercept = number(header, "RescaleSlope", 1), number(header, "RescaleIntercept", 0)
    if slope == 0:
        raise UnreadableError("its RescaleSlope is 0; the header is damaged")
    return rescaled(values, slope, intercept)


def rescaled(values: NDArray[Any], slope: float, intercept: float) -> NDArray[np.float32]:
    """Return values x slope + intercept."""
    found = values.astype(np.float32)
    found *= np.float32(slope)
    found += np.float32(intercept)
    return found


def _looked_up(values: NDArray[Any], table: pydicom.Dataset) -> NDArray[np.float32]:
    """Return values through a table; those beyond its ends get its first or last entry (PS3.3 C.11.1.1)."""
    entries, first, bits = (int(value) for value in numbers(table, "LUTDescriptor"))
    stored = table.LUTData
    if isinstance(stored, bytes):
        stored = np.frombuffer(stored, "<u1" if len(stored) == (entries or 1 << 16) and bits <= 8 else "<u2")
    curve = np.asarray(stored).astype(np.float32)
    if len(curve) < (entries or 1 << 16):
        raise UnreadableError("a look-up table is cut off; the header is damaged")
    first = first - (1 << 16) if first >= 1 << 15 and values.min() < 0 else first
    return np.asarray(curve[np.clip(values - first, 0, (entries or 1 << 16) - 1).astype(np.intp)], np.float32)


def padded(values: NDArray[Any], header: pydicom.Dataset, layout: Layout) -> NDArray[np.bool_] | None:
    """Return which stored values stand for no px at all (PixelPaddingValue); None when the file names none.

    Source: PS3.3 C.7.5.1.1.2.
    """
    if header.get("PixelPaddingValue") is None or layout.samples > 1:
        return None
    ends = [_as_signed(int(number(header, "PixelPaddingValue")), layout)]
    if header.get("PixelPaddingRangeLimit") is not None:
        ends.append(_as_signed(int(number(header, "PixelPaddingRangeLimit")), layout))
    found = (values >= min(ends)) & (values <= max(ends))
    return found if found.any() else None


def _as_signed(value: int, layout: Layout) -> int:
    """Return a value that may have been written with the other sign (US for SS) as the px have it."""
    span = 1 << layout.allocated
    if layout.is_signed and value >= span // 2:
        return value - span
    return value + span if not layout.is_signed and value < 0 else value


def shown(
    values: NDArray[Any], header: pydicom.Dataset, layout: Layout, *, padding: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float32], list[str]]:
    """Return gray px as a display shows them, 0 black to 255 white, and what was noticed.

    The modality LUT, then the first VOI LUT, else the first window, else all from the least to the greatest value but
    for a few px far from all others (8-bit px: as they are, a negative RescaleSlope turns them over); MONOCHROME1 turned
    over; padding black.

    Source: PS3.3 C.11.2.
    """
    findings = []
    real = measured(values, header)
    centers, widths = numbers(header, "WindowCenter"), numbers(header, "WindowWidth")
    if header.get("VOILUTSequence"):
        table = header.VOILUTSequence[0]
        top = float(2 ** int(numbers(table, "LUTDescriptor")[2]) - 1)
        picture = _looked_up(np.rint(real).astype(np.int64), table) * np.float32(WHITE / top)
    elif centers and widths:
        if len(centers) > 1:
            findings.append(f"the first of {len(centers)} windows was taken")
        picture = windowed(real, centers[0], widths[0], word(header, "VOILUTFunction", FUNCTIONS, "LINEAR"))
    elif layout.stored <= 8 and not layout.is_signed and "ModalityLUTSequence" not in header:
        picture = values.astype(np.float32) * np.float32(WHITE / (2**layout.stored - 1))
        if number(header, "RescaleSlope", 1) < 0:
            picture = np.float32(WHITE) - picture
    else:
        low, high, told = _range(real if padding is None or padding.all() else real[~padding])
        findings.append(f"no window is stored: shown from {told}")
        picture = np.clip((real - low) * np.float32(WHITE / (high - low or 1)), 0, WHITE)
    if layout.kind == "MONOCHROME1":
        picture = np.float32(WHITE) - picture
        findings.append("inverted: MONOCHROME1")
    if padding is not None:
        picture[padding] = 0
    return np.clip(picture, 0, np.float32(WHITE)), findings


def _range(values: NDArray[np.float32]) -> tuple[float, float, str]:
    """Return between which values px are shown where no window is stored, and how that is told.

    From the least to the greatest, unless that leaves most of the picture less than FEW of the grays: hot px.
    """
    ends = float(values.min()), float(values.max())
    low, high = (float(end) for end in np.percentile(values, INNER))
    if 0 < high - low < FEW * (ends[1] - ends[0]):
        return low, high, f"its percentile {INNER[0]:g} to {INNER[1]:g}, as a few px lie far from all others"
    return *ends, "its least to its greatest value"


def windowed(values: NDArray[np.float32], center: float, width: float, function: str) -> NDArray[np.float32]:
    """Return values through a window on 0-255 (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    if width <= 0 or (function == "LINEAR" and width < 1):
        raise UnreadableError(f"a window of width {width:g}; the header is damaged")
    if function == "SIGMOID":
        return np.asarray(WHITE / (1 + np.exp(np.clip(-4 * (values - center) / width, -80, 80))), np.float32)
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    low = np.float32(center - width / 2)
    if width == 0:
        return np.where(values <= low, np.float32(0), np.float32(WHITE))
    return np.asarray(np.clip((values - low) * np.float32(WHITE / width), 0, WHITE), np.float32)

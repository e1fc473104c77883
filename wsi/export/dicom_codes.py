"""Codes and colors of DICOM segmentations."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from wsi.printable import printable
from wsi.results import Structure


@dataclass(frozen=True, slots=True)
class Code:
    """A code of a scheme, and what it means there."""

    value: str
    scheme: str
    meaning: str


ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
DERIVATION = Code("113076", "DCM", "Segmentation")
SOURCE = Code("121322", "DCM", "Source image for image processing operation")
MOST_VALUE = 16
"""Characters of a code's value (PS3.5, table 6.2-1: SH)."""
OWN_SCHEME = "99WSIRUN"
"""Of structures whose model gives no code: a private scheme, as PS3.16, chapter 8, asks for."""


def structure_code(one: Structure) -> Code:
    """Return a structure's code: of its card's terminology, else its name in this tool's own scheme."""
    scheme, _, value = (one.code or "").partition(":")
    if value:
        return Code(value, scheme, one.meaning or one.name)
    return Code(_own_value(printable(one.name)), OWN_SCHEME, one.name)


def _own_value(name: str) -> str:
    """Return a name as a code's value: of a longer one its beginning, and a mark of the whole that tells it from others."""
    mark = hashlib.sha256(name.encode()).hexdigest()[:4]
    return name if len(name) <= MOST_VALUE else f"{name[: MOST_VALUE - 5]}-{mark}"


def code_item(code: Code) -> Dataset:
    """Return a code as an item of a code sequence (PS3.3, table 8.8-1)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = code.value, code.scheme
    item.CodeMeaning = printable(code.meaning)[:64]
    return item


def cielab(color: Sequence[int]) -> list[int]:
    """Return an sRGB color as DICOM's CIELab: L, a and b, each scaled to 0-65535 (PS3.3, C.10.7.1.1).

    Source: IEC 61966-2-1 for sRGB, adapted to the white D50 by Bradford's matrix; CIE 15 for Lab.
    """
    rgb = np.asarray(color, np.float64) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_d50 = np.array(
        [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
    )
    x, y, z = (to_d50 @ linear) / np.array([0.96422, 1.0, 0.82521])
    fx, fy, fz = (_lab(float(part)) for part in (x, y, z))
    light, a, b = 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)
    scaled = (light / 100 * 65535, (a + 128) / 255 * 65535, (b + 128) / 255 * 65535)
    return [int(np.clip(round(part), 0, 65535)) for part in scaled]


def _lab(part: float) -> float:
    return float(part ** (1 / 3)) if part > (6 / 29) ** 3 else part / (3 * (6 / 29) ** 2) + 4 / 29

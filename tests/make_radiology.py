"""Drawn DICOM images and series whose every value and place is known."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

ENCODERS = {
    JPEG2000Lossless: lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", reversible=True, level=0),
    JPEGLSLossless: lambda a: imagecodecs.jpegls_encode(unsigned(a)),
    JPEGLosslessSV1: lambda a: imagecodecs.jpeg8_encode(
        unsigned(a), lossless=True, colorspace=None, outcolorspace=None
    ),
}
ROOT = "1.2.826.0.1.3680043.8.498."


def unsigned(frame: NDArray[Any]) -> NDArray[Any]:
    """Return the same bits without a sign, which these codings don't have."""
    return frame.view(f"u{frame.dtype.itemsize}")


def encoded(frame: NDArray[Any], syntax: UID) -> bytes:
    """Return one frame compressed, by imagecodecs or (RLE) pydicom's own encoder."""
    if syntax == RLELossless:
        from pydicom.pixels.encoders.base import RLELosslessEncoder

        wide = frame.dtype.itemsize * 8
        rgb = frame.ndim == 3
        return bytes(
            RLELosslessEncoder.encode(
                frame.tobytes(), rows=frame.shape[0], columns=frame.shape[1], samples_per_pixel=3 if rgb else 1,
                bits_allocated=wide, bits_stored=wide, pixel_representation=int(frame.dtype.kind == "i"),
                photometric_interpretation="RGB" if rgb else "MONOCHROME2", number_of_frames=1, planar_configuration=0,
            )
        )  # fmt: skip
    return bytes(ENCODERS[syntax](frame))


def dicom(
    path: Path, px: NDArray[Any], *, syntax: UID = ExplicitVRLittleEndian, bits: int | None = None, **elements: Any
) -> Path:
    """Write px `(h, w)`, `(h, w, 3)` or, with NumberOfFrames among the elements, `(n, h, w)`."""
    count = elements.get("NumberOfFrames", 0)
    frames = px if count else px[None]
    found = Dataset()
    found.SOPClassUID = elements.pop("SOPClassUID", DigitalXRayImageStorageForPresentation)
    found.SOPInstanceUID = ROOT + str(abs(hash(path.name)) % 10**9)
    found.SeriesInstanceUID = ROOT + "7"
    found.Modality = "DX"
    found.Rows, found.Columns = frames.shape[1:3]
    found.SamplesPerPixel = 3 if frames.ndim == 4 else 1
    found.PhotometricInterpretation = "RGB" if frames.ndim == 4 else "MONOCHROME2"
    if frames.ndim == 4:
        found.PlanarConfiguration = 0
    found.BitsAllocated = px.dtype.itemsize * 8
    found.BitsStored = bits or found.BitsAllocated
    found.HighBit = found.BitsStored - 1
    found.PixelRepresentation = int(px.dtype.kind == "i")
    is_plain = syntax in (ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)
    px = px.astype(px.dtype.newbyteorder(">" if syntax == ExplicitVRBigEndian else "<"))
    found.PixelData = px.tobytes() if is_plain else encapsulate([encoded(frame, syntax) for frame in frames])
    if len(found.PixelData) % 2:
        found.PixelData += b"\0"
    found["PixelData"].VR = "OB" if not is_plain or px.dtype.itemsize == 1 else "OW"
    for name, value in elements.items():
        setattr(found, name, value)
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = syntax
    found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
    pydicom.dcmwrite(path, found, enforce_file_format=True)
    return path


COLUMNS, ROWS, SLICES = 24, 20, 9
SPACING, GAP = (1.5, 2.0), 2.5
"""mm between rows and between columns, and between slices."""
ALONG, DOWN = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
CORNER = (-30.0, 12.5, 94.0)
LABELS = {1: ("liver", 93), 2: ("lung", -682), 3: ("rib", 300)}


def phantom() -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return HU `(slice, row, column)` of a body with three organs, none its own mirror image, and their labels."""
    hu = np.full((SLICES, ROWS, COLUMNS), -1000, np.int16)
    hu[:, 2:18, 2:22] = 40
    labels = np.zeros(hu.shape, np.uint8)
    labels[1:4, 4:9, 3:10] = 1
    labels[5:8, 5:15, 12:19] = 2
    labels[2:9, 15:17, 4:6] = 3
    for label, (_, value) in LABELS.items():
        hu[labels == label] = value
    return hu, labels


def lps(position: int) -> tuple[float, float, float]:
    return CORNER[0], CORNER[1], CORNER[2] + GAP * position


def series(
    folder: Path, *, syntax: UID = JPEG2000Lossless, changes: Mapping[int, Mapping[str, Any]] | None = None,
    skip: Sequence[int] = (), **elements: Any,
) -> list[Path]:  # fmt: skip
    """Write the phantom as a CT series whose file names run against space and whose SliceThickness isn't the gap.

    Args:
        changes: elements of single slices, by their place in space.
        skip: slices that are left out.
    """
    hu, _ = phantom()
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for place in range(SLICES):
        if place in skip:
            continue
        own: dict[str, Any] = {
            "SOPClassUID": CTImageStorage, "Modality": "CT", "ImagePositionPatient": list(lps(place)),
            "ImageOrientationPatient": [*ALONG, *DOWN], "PixelSpacing": list(SPACING), "SliceThickness": 3.0,
            "RescaleSlope": 1, "RescaleIntercept": -1024, "InstanceNumber": SLICES - place,
            **elements, **(changes or {}).get(place, {}),
        }  # fmt: skip
        px = (hu[place] + 1024).astype(np.uint16)
        paths.append(dicom(folder / f"{SLICES - place:03}.dcm", px, syntax=syntax, **own))
    return sorted(paths)

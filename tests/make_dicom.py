"""Write DICOM whole-slide images: one file a level, as scanners' converters do."""

from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, generate_uid

from tests.make import Pixels, as_jpeg, cut, pyramid

WSI = UID("1.2.840.10008.5.1.4.1.1.77.1.6")
_SYNTAX = {"jpeg": JPEGBaseline8Bit, "jpeg2000": JPEG2000Lossless, "none": ExplicitVRLittleEndian}
_COLORS = {"jpeg": "YBR_FULL_422", "jpeg2000": "YBR_RCT", "none": "RGB"}


def write_dicom(
    folder: Path,
    pixels: Pixels,
    *,
    mpp: float | tuple[float, float] | None = 0.5,
    levels: int = 1,
    step: int = 2,
    tile: int = 256,
    compression: str = "jpeg",
    sparse: bool = False,
    image_type: bool = True,
    thumbnail: bool = False,
    seed: str = "slide",
    said_as: str = "spacing",
) -> list[Path]:
    """Write a series into `folder`: level_0.dcm and on, with `thumbnail` also thumbnail.dcm; return the paths.

    Args:
        mpp: µm per px, one figure or x and y; None says nothing of it.
        sparse: TILED_SPARSE, frames in reverse order and those of plain glass left out; else TILED_FULL.
        image_type: False leaves ImageType out, which OpenSlide refuses.
        said_as: spacing (PixelSpacing) or volume (ImagedVolumeWidth and -Height).
        seed: slides of different seeds are different series.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    pictures = [(f"level_{i}", "VOLUME", picture) for i, picture in enumerate(pyramid(pixels, levels, step))]
    if thumbnail:
        pictures.append(("thumbnail", "THUMBNAIL", np.ascontiguousarray(pixels[::8, ::8])))
    for name, role, picture in pictures:
        size = max(picture.shape[:2]) if role == "THUMBNAIL" else tile
        found = _dataset(picture, size, compression, sparse=sparse)
        found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID = generate_uid(entropy_srcs=[seed, name])
        found.SeriesInstanceUID = generate_uid(entropy_srcs=[seed, "series"])
        found.StudyInstanceUID = generate_uid(entropy_srcs=[seed, "study"])
        found.FrameOfReferenceUID = generate_uid(entropy_srcs=[seed, "frame"])
        if image_type:
            resampled = "NONE" if name == "level_0" else "RESAMPLED"
            found.ImageType = ["ORIGINAL" if name == "level_0" else "DERIVED", "PRIMARY", role, resampled]
        if mpp is not None:
            _say_mpp(found, mpp, pixels.shape[1] / picture.shape[1], said_as)
        path = folder / f"{name}.dcm"
        found.save_as(path, enforce_file_format=True)
        written.append(path)
    return written


def _dataset(picture: Pixels, tile: int, compression: str, *, sparse: bool) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = WSI, _SYNTAX[compression]
    found = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    found.SOPClassUID, found.Modality = WSI, "SM"
    found.PatientName, found.PatientID = "Doe^Jane", "SECRET-1"
    found.TotalPixelMatrixColumns, found.TotalPixelMatrixRows = picture.shape[1], picture.shape[0]
    found.Rows = found.Columns = tile
    found.SamplesPerPixel, found.BitsAllocated, found.BitsStored, found.HighBit = 3, 8, 8, 7
    found.PixelRepresentation = found.PlanarConfiguration = 0
    found.PhotometricInterpretation = _COLORS[compression]
    found.DimensionOrganizationType = "TILED_SPARSE" if sparse else "TILED_FULL"
    tiles = list(enumerate(cut(picture, tile)))
    if sparse:
        tiles = [(i, frame) for i, frame in reversed(tiles) if np.ptp(frame)] or tiles[:1]
        columns = -(-picture.shape[1] // tile)
        found.PerFrameFunctionalGroupsSequence = [_position(i % columns * tile, i // columns * tile) for i, _ in tiles]
    found.NumberOfFrames = len(tiles)
    frames = [_encoded(frame, compression) for _, frame in tiles]
    if compression == "none":
        found.add_new("PixelData", "OB", b"".join(frames))
    else:
        found.add_new("PixelData", "OB", encapsulate(frames))
        found["PixelData"].is_undefined_length = True
    return found


def _encoded(frame: NDArray[np.uint8], compression: str) -> bytes:
    if compression == "jpeg":
        return as_jpeg(frame)
    if compression == "jpeg2000":
        return bytes(imagecodecs.jpeg2k_encode(frame, level=0, codecformat="j2k", mct=True))
    return frame.tobytes()


def _position(x: int, y: int) -> Dataset:
    place = Dataset()
    place.ColumnPositionInTotalImagePixelMatrix, place.RowPositionInTotalImagePixelMatrix = x + 1, y + 1
    group = Dataset()
    group.PlanePositionSlideSequence = [place]
    return group


def _say_mpp(found: FileDataset, mpp: float | tuple[float, float], downsample: float, said_as: str) -> None:
    x, y = mpp if isinstance(mpp, tuple) else (mpp, mpp)
    if said_as == "volume":
        found.ImagedVolumeWidth = found.TotalPixelMatrixColumns * x * downsample / 1000
        found.ImagedVolumeHeight = found.TotalPixelMatrixRows * y * downsample / 1000
        return
    measures, group = Dataset(), Dataset()
    measures.PixelSpacing = [y * downsample / 1000, x * downsample / 1000]
    group.PixelMeasuresSequence = [measures]
    found.SharedFunctionalGroupsSequence = [group]

"""DICOM files that are no slide: what they are, and who reads them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pydicom

from wsi.errors import FormatError, ModalityError
from wsi.read.dicom_file import fault_of, named_faults, number, open_dicom, word
from wsi.read.dicom_picture import MEASURING, read_dicom_picture
from wsi.read.dicom_reader import WSI_CLASS
from wsi.read.dicom_series import has_place, read_dicom_series
from wsi.read.field_info import FieldReading

MODALITIES = (
    *("CR", "CT", "DX", "ES", "GM", "IO", "MG", "MR", "NM", "OCT", "OP", "OPT", "OT", "PT", "PX", "RF", "RG", "SC"),
    *("SM", "US", "XA", "XC"),
)
"""Modalities of images; the code of any other is not passed on."""
BODY_PARTS = (
    *("ABDOMEN", "ABDOMENPELVIS", "ANKLE", "ARM", "BLADDER", "BRAIN", "BREAST", "CALCANEUS", "CHEST", "CHESTABDOMEN"),
    *("CHESTABDPELVIS", "CLAVICLE", "CSPINE", "ELBOW", "EXTREMITY", "EYE", "FEMUR", "FINGER", "FOOT", "FOREARM"),
    *("HAND", "HEAD", "HEADNECK", "HEART", "HIP", "HUMERUS", "JAW", "KNEE", "LEG", "LIVER", "LSPINE", "LUNG", "NECK"),
    *("PELVIS", "SCAPULA", "SHOULDER", "SKULL", "SPINE", "TEETH", "THIGH", "THORAX", "THUMB", "TOE", "TSPINE", "WRIST"),
)
"""Parts of the body by DICOM's defined terms (PS3.16, annex L); any other text is not passed on."""
NO_IMAGE = {
    "SEG": "a mask (SEG), not the image it was drawn on",
    "RTDOSE": "a radiation dose, not an image",
    "RTSTRUCT": "outlines for radiotherapy, not an image",
    "RTPLAN": "a plan for radiotherapy, not an image",
    "SR": "a report, not an image",
    "PR": "a presentation state, not an image",
    "KO": "a list of images, not an image",
    "ECG": "a curve, not an image",
    "DOC": "a document, not an image",
}


def read_dicom(files: Sequence[Path], *, limit: int) -> FieldReading:
    """Return one image, one file of several slices, or a series of files.

    Raises:
        ModalityError: a whole slide. FormatError: no image; several series; slices that make no even stack.
        UnreadableError: damaged. TooLargeError: it claims more than `limit` bytes.
    """
    headers, kinds = [], []
    for path in files:
        with fault_of(path, among=files):
            headers.append(open_dicom(path, limit=limit, pixels=False))
            kinds.append(_kind(headers[-1]))
    modality = kinds[0]
    if len(files) == 1 and _is_picture(headers[0], modality):
        return _with_part(read_dicom_picture(files[0], modality, limit=limit), headers[0])
    series = {str(header.get("SeriesInstanceUID", "")) for header in headers}
    if len(series) > 1:
        raise FormatError(f"files of {len(series)} series; expected one: give each its own folder")
    if set(kinds) != {modality} or not all(has_place(header) for header in headers):
        raise FormatError(f"{len(files)} images that are no slices of one volume; give each by itself")
    return _with_part(read_dicom_series(files, headers, modality, limit=limit), headers[0])


def _with_part(reading: FieldReading, header: pydicom.Dataset) -> FieldReading:
    part = word(header, "BodyPartExamined", BODY_PARTS, "")
    return replace(reading, info=replace(reading.info, body_part=part))


def _is_picture(header: pydicom.Dataset, modality: str) -> bool:
    """Return whether a file alone is a picture: it has no groups of frames, or one frame that is for the eye."""
    if not header.get("PerFrameFunctionalGroupsSequence"):
        return True
    with named_faults():
        return modality not in MEASURING and number(header, "NumberOfFrames", 1) <= 1


def _kind(header: pydicom.Dataset) -> str:
    """Return a file's modality code; "" for one that isn't an image's."""
    said = word(header, "Modality", (*MODALITIES, *NO_IMAGE), "")
    if said in NO_IMAGE:
        raise FormatError(NO_IMAGE[said])
    if header.get("SOPClassUID") == WSI_CLASS:
        raise ModalityError("a whole-slide image; expected a picture or a volume: choose a model for slides")
    return said

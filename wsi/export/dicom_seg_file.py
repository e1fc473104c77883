"""From a case and its series to a file with a DICOM segmentation."""

import io
from datetime import datetime
from pathlib import Path

from wsi.errors import UsageError
from wsi.export.dicom_seg import make_seg, read_slices
from wsi.publish import publish
from wsi.results import read_case
from wsi.results.mask import read_mask


def write_seg(path: Path, case: Path, series: Path, *, when: datetime | None = None) -> int:
    """Publish the mask of a case as a DICOM segmentation and return its number of frames.

    Args:
        case: folder of a case of a run, with result.json and mask.h5.
        series: folder of the DICOM files that it was read from.
        when: of the segmentation; None: now.

    Raises:
        UsageError: no mask of a volume, or another series. ArtifactError: a damaged case.
    """
    if not (case / "mask.h5").is_file():
        raise UsageError(f"{case}: no mask.h5 in it; expected OUT/slides/NAME of a model that marks structures")
    if not series.is_dir():
        raise UsageError(f"{series}: no such folder; expected the DICOM files of the series")
    mask, result = read_mask(case / "mask.h5"), read_case(case).result
    if mask.labels.ndim != 3:
        raise UsageError(f"{case}: a picture; a DICOM segmentation is made of volumes that were read from a series")
    files = sorted(one for one in series.iterdir() if one.is_file() and not one.name.startswith("."))
    made = result.provenance
    model = "wsi-run" if made is None else f"{made.model} {made.model_version}"
    seg = make_seg(mask, result.structures, read_slices(files), model=model, when=when or datetime.now())
    buffer = io.BytesIO()
    seg.save_as(buffer, enforce_file_format=True)
    publish(path, buffer.getvalue())
    return int(seg.NumberOfFrames)

"""From a case and its series to a file with a DICOM segmentation."""

import io
import re
from datetime import datetime
from pathlib import Path

from wsi.errors import UsageError
from wsi.export.dicom_seg import make_seg, read_slices
from wsi.publish import publish
from wsi.read import SlideFile, find_slides
from wsi.results import read_case
from wsi.results.mask import read_mask

_MARK = re.compile(r"-([0-9a-f]{8})(?:-\d+)?$")
"""What `find_slides` makes of the content of a case's files, at the end of its id."""


def write_seg(path: Path, case: Path, series: Path, *, when: datetime | None = None) -> int:
    """Publish the mask of a case as a DICOM segmentation and return its number of frames.

    Args:
        case: folder of a case of a run, with result.json and mask.h5.
        series: folder of the DICOM files that it was read from; files of other series there are passed over.
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
    files = _files_of(result.slide, series)
    made = result.provenance
    model = "wsi-run" if made is None else f"{made.model} {made.model_version}"
    seg = make_seg(mask, result.structures, read_slices(files), model=model, when=when or datetime.now())
    buffer = io.BytesIO()
    seg.save_as(buffer, enforce_file_format=True)
    publish(path, buffer.getvalue())
    return int(seg.NumberOfFrames)


def _files_of(slide: str, folder: Path) -> list[Path]:
    """Return the files below a folder that a case was read from; all in it where none is known by its content.

    Args:
        slide: the case's id, which ends in a mark of its files' content.
    """
    told = _MARK.search(slide)
    for one in find_slides(folder):
        mark = _MARK.search(one.id)
        if isinstance(one, SlideFile) and told and mark and told[1] == mark[1]:
            return [*one.files]
    return sorted(one for one in folder.iterdir() if one.is_file() and not one.name.startswith("."))

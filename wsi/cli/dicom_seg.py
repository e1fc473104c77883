"""`wsi-run dicom-seg`: the mask of one case as a DICOM segmentation on its series."""

from pathlib import Path

import click

from wsi.cli.options import FILE
from wsi.cli.progress import plain


@click.command("dicom-seg")
@click.argument("case", type=FILE)
@click.argument("series", type=FILE)
@click.option("-o", "--out", type=FILE, metavar="FILE", help="File to write; mask.seg.dcm beside the mask by default.")
def command(case: Path, series: Path, out: Path | None) -> int:
    """Write the mask of CASE (a folder OUT/slides/NAME) as a DICOM segmentation on the SERIES it was read from.

    \b
      wsi-run SCANS -o OUT -m organs
      wsi-run dicom-seg OUT/slides/NAME SCANS/SERIES -o organs.dcm

    The file carries the UIDs of study, series and slices, without which it couldn't lie on them: keep it as confidential
    as the series. Nothing else of the patient is copied, and `wsi-run` itself never writes it. Research use only.
    """
    from wsi.export.dicom_seg_file import write_seg
    from wsi.results import SEGMENTATION

    path = out if out is not None else case / SEGMENTATION
    frames = write_seg(path, case, series)
    click.echo(plain(f"{path}: {frames} frames"))
    return 0

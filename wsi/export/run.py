"""What a folder of results gets as a whole: a table, a report and a project for QuPath."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from wsi.export.cohort import entries
from wsi.export.project import write_project
from wsi.export.report import write_report
from wsi.export.table import write_predictions
from wsi.export.volumes import write_volumes
from wsi.results import Record

NO_PLACES: Mapping[str, Path] = MappingProxyType({})


def export_run(
    out: Path, records: list[Record], *, places: Mapping[str, Path] = NO_PLACES, links: Mapping[str, Path] = NO_PLACES
) -> None:
    """Write predictions.csv, volumes.csv where there are masks, report.html and qupath/ into `out`, each file only where its bytes change.

    Args:
        records: one a slide, in the order to list them.
        places: where slides lie on this machine, by id; only the QuPath project tells it on. A slide that isn't
            in it keeps the place that the project has for it, or is left out of the project.
        links: where the names of those slides lie that are found elsewhere.

    Raises:
        NoSpaceError, ArtifactError: a file can't be written.
    """
    write_predictions(out, entries(out, records))
    write_volumes(out, records)
    write_report(out, records)
    write_project(out, entries(out, records), places, links)

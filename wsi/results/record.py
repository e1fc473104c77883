"""One line of results.jsonl: what became of one slide."""

from typing import Annotated, Literal

from pydantic import Field

from wsi.config import Strict

Status = Literal["ok", "partial", "refused", "failed"]

ARTIFACTS = (
    "thumbnail.jpg",
    "tissue.geojson",
    "coords.h5",
    "features.h5",
    "scores.h5",
    "top_tiles.jpg",
    "result.json",
    "heatmap.ome.tiff",
    "heatmap.png",
    "explanation.png",
    "mask.h5",
    "mask.png",
    "mask.nii.gz",
    "overlay.png",
)
"""Files of slides/<id>/ besides <name>.geojson.gz and stages.json."""
SEGMENTATION = "mask.seg.dcm"
"""What a person makes beside a mask with `wsi-run dicom-seg`: none of a run's files."""


class TileCounts(Strict):
    """Tiles of one slide."""

    wanted: Annotated[int, Field(ge=0)] = 0
    read: Annotated[int, Field(ge=0)] = 0
    unreadable: Annotated[int, Field(ge=0)] = 0


class Record(Strict):
    """The status of one slide, as the journal keeps it.

    `code` is "" when all went well, else a stable E_… code, and `reason` says it for people.
    `artifacts` maps file names in slides/<id>/ to their sha256; `key` is what they were made under.
    """

    slide: str
    path: str
    """Relative to the folder that was run; the only thing known of the slide's place."""
    status: Status
    code: str = ""
    reason: str = ""
    tiles: TileCounts = TileCounts()
    artifacts: dict[str, str] = {}
    key: str = ""

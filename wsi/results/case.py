"""A slide's folder in OUT, read back for export and report."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from wsi.errors import ArtifactError
from wsi.results.result import Result
from wsi.results.scores import Scores, read_scores


@dataclass(frozen=True, slots=True)
class Case:
    """One slide's folder: its result, and its tile scores when it has a verdict."""

    folder: Path
    result: Result
    scores: Scores | None

    @property
    def tissue(self) -> Path:
        return self.folder / "tissue.geojson"

    @property
    def thumbnail(self) -> Path:
        return self.folder / "thumbnail.jpg"

    @property
    def top_tiles(self) -> Path:
        return self.folder / "top_tiles.jpg"


def read_case(folder: Path) -> Case:
    """Read slides/<id>/; ArtifactError when result.json or scores.h5 is missing or damaged."""
    path = folder / "result.json"
    try:
        result = Result.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ArtifactError(f"{path}: not a result of this tool ({error}); run the slide again") from error
    scores = folder / "scores.h5"
    return Case(folder, result, read_scores(scores) if scores.exists() else None)

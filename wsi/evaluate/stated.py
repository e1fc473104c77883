"""The threshold that a run's model graded by: what its results say, chosen by nobody here."""

from pathlib import Path

from pydantic import ValidationError

from wsi.errors import ArtifactError
from wsi.evaluate.threshold import Threshold
from wsi.results import Result


def run_threshold(out: Path, *, positive: str | None = None) -> Threshold | None:
    """Return the threshold of the model that graded the slides of OUT; None where its results name none.

    Args:
        positive: the class that probabilities are of; a threshold of another one is none. None: whatever it is of.

    Raises:
        ArtifactError: a result can't be read, or two slides were graded by different thresholds.
    """
    found: dict[float, str] = {}
    for path in sorted(out.glob("slides/*/result.json")):
        try:
            result = Result.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise ArtifactError(f"{path}: not a result of this tool ({error}); run the slide again") from error
        is_of_it = positive is None or result.positive in (None, positive)
        if result.threshold is not None and result.grade is not None and is_of_it:
            name = result.provenance.model if result.provenance else "the run's model"
            found.setdefault(result.threshold, name)
    if len(found) > 1:
        shown = ", ".join(f"{value:g}" for value in sorted(found))
        raise ArtifactError(
            f"{out}: its slides were graded by different thresholds ({shown}); evaluate each run by itself"
        )
    return next((Threshold.stated(value, by=f"the card of {name}") for value, name in found.items()), None)

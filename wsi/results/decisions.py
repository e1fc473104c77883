"""OUT/review/decisions.jsonl: what people decided about the slides, one line each, never changed again."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from wsi.config import Strict
from wsi.errors import ArtifactError
from wsi.publish import sha256_bytes

REVIEW = "review"
"""The folder of OUT that people write through the review page; no run touches it."""
LOG, HEAD = "decisions.jsonl", "decisions.head"
Stage = Literal["own", "final"]
Verdict = Literal["agree", "disagree", "unsure"]


class Decision(Strict):
    """One line of the log.

    stage: "own" is a read before the model's verdict was shown, "final" the decision. shapes: a GeoJSON
    FeatureCollection in level-0 px. previous: sha256 of the line before, of the first line the log's own mark. sha256:
    of this line without it.
    """

    sequence: Annotated[int, Field(ge=1)]
    when: str
    """UTC, ISO 8601."""
    who: str
    slide: str
    slide_sha256: str
    model_sha256: str
    stage: Stage
    verdict: Verdict | None
    grade: str | None
    reason: str
    comment: str
    shapes: dict[str, Any]
    previous: str
    sha256: str

    def line(self) -> bytes:
        """Return the line as it stands in the log, without its line break."""
        return _rendered(self.model_dump())

    def digest(self) -> str:
        """Return what `sha256` must be."""
        return sha256_bytes(_rendered(self.model_dump(exclude={"sha256"})))


def sealed(**told: Any) -> Decision:
    """Return a decision with its sha256."""
    open_ = Decision(**told, sha256="")
    return open_.model_copy(update={"sha256": open_.digest()})


def _rendered(told: dict[str, Any]) -> bytes:
    return json.dumps(told, ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()


def parse_decision(line: bytes) -> Decision | None:
    """Return the decision in a line; None when it is none."""
    try:
        return Decision.model_validate_json(line)
    except ValidationError:
        return None


def read_decisions(out: Path) -> list[Decision]:
    """Return the decisions in the order of the log; lines that are none, or only half there, are passed over.

    Whether lines were changed is `wsi-run audit verify`'s to say.

    Raises:
        ArtifactError: there is a log, and it can't be read.
    """
    return [found for line in _lines(out) if (found := parse_decision(line)) is not None]


def last_words(out: Path, slide: str) -> tuple[Decision, ...]:
    """Return what each person said last about one slide, own reads included; the lines on others are passed over unread.

    Raises:
        ArtifactError: there is a log, and it can't be read.
    """
    told = json.dumps(slide).encode()
    found = (parse_decision(line) for line in _lines(out) if told in line)
    return tuple({one.who: one for one in found if one and one.slide == slide}.values())


def _lines(out: Path) -> list[bytes]:
    """Return the whole lines of the log; none where there is no log, which isn't that it can't be read."""
    path = out / REVIEW / LOG
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ArtifactError(
            f"{path}: the decisions so far can't be read ({error.strerror or error}), and without them the results would "
            "say that nobody decided; make the file readable and run the same command again"
        ) from error

"""What the page shows of a slide, put together from OUT, the slide's px and the decisions; and what stays hidden."""

import contextlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from wsi import __version__
from wsi.errors import AbsentError, ArtifactError, WsiError
from wsi.export.cohort import Entry
from wsi.export.words import next_step
from wsi.printable import printable
from wsi.publish import sha256_bytes
from wsi.results import LOG, RESEARCH_USE, REVIEW, Decision, read_decisions
from wsi.review import evidence, heat, log, worklist
from wsi.review.about import about_model, classes_of, structures_of
from wsi.review.beside import Beside
from wsi.review.draft import entry_of, parse_draft
from wsi.review.folder import ReviewFolder, Stamp, damaged, stamp
from wsi.review.frame import frame, is_volume
from wsi.review.outlines import outlines
from wsi.review.refusal import Refused, of_status, refused
from wsi.review.tiles import Kept, Piece, TileKey, Tiles, View

KEPT_BYTES = 64 << 20
MAX_PANES = 50
OVERLAY = "overlay.png"
"""As wsi.export.overlay names it, which loads scipy."""
VOLUME = (
    "A volume: three slices are shown, through the middle of what was marked. Look at all of them, with mask.nii.gz of "
    "the results, in a viewer of volumes."
)


class Desk:
    """The cases of a run as one reviewer sees them."""

    def __init__(
        self,
        folder: ReviewFolder,
        tiles: Tiles,
        *,
        beside: ReviewFolder | None = None,
        blind: bool = False,
        reviewer: str = "",
    ) -> None:
        """Take the run, the way to its px and who reviews.

        Args:
            beside: another run over the same slides, whose model's results are seen beside this one's.
            blind: hide what models say of a slide until `reviewer`'s own read of it is written down.

        Raises:
            ValueError: blind without a reviewer.
        """
        if blind and not reviewer:
            raise ValueError("a blind review needs to know whose own read it waits for")
        self._folder, self._tiles = folder, tiles
        self._beside = Beside(beside) if beside else None
        self._blind, self._reviewer = blind, reviewer
        self._kept = Kept(KEPT_BYTES)
        self._read: tuple[Stamp, dict[str, list[Decision]]] | None = None

    def is_case(self, slide: str) -> bool:
        return slide in self._folder.records()

    def run(self) -> dict[str, Any]:
        """Return what the run is: its model, classes and counts, and the model seen beside it."""
        entries = self._folder.entries()
        results = [entry.result for entry in entries]
        counts: dict[str, int | None] = {
            status: sum(r.status == status for r in results) for status in ("ok", "partial", "refused", "failed")
        }
        hidden = any(self._is_hidden(entry) for entry in entries)
        return {
            "notice": RESEARCH_USE,
            "wsi_run": __version__,
            "out": sha256_bytes(os.fsencode(self._folder.out.resolve())),
            "blind": self._blind,
            "reviewer": self._reviewer,
            "read_only": not os.access(self._folder.out, os.W_OK),
            "model": about_model(self._folder),
            "beside": about_model(self._beside.folder) if self._beside else None,
            "classes": classes_of(results),
            "structures": structures_of(results),
            "counts": {
                "cases": len(results),
                **counts,
                "referred": None if hidden else sum(r.has_verdict and r.refer for r in results),
                "reviewed": sum(self._is_reviewed(entry) for entry in entries),
            },
        }

    def cases(self) -> list[dict[str, Any]]:
        """Return the worklist: to review, reviewed, stopped; each by falling suspicion, in a blind review by name."""
        key = worklist.blind_order if self._blind else worklist.order
        entries = self._folder.entries()
        entries.sort(key=lambda entry: key(entry, reviewed=self._is_reviewed(entry)))
        return [self._row(entry) for entry in entries]

    def _row(self, entry: Entry) -> dict[str, Any]:
        hidden = self._is_hidden(entry)
        row = worklist.row(entry, viewable=self._tiles.has(entry.result.slide), hidden=hidden)
        counted = self._counted(entry)
        last = next((d for d in reversed(counted) if d.stage == "final"), counted[-1] if counted else None)
        brief = last.model_dump(include={"who", "when", "stage", "verdict", "grade"}) if last else None
        return {**row, "decision": brief, "reviewed": self._is_reviewed(entry)}

    def case(self, slide: str) -> dict[str, Any]:
        """Return all of one slide but its pictures; its words say what is wrong where a result file is damaged."""
        entry = self._folder.entry(slide)
        hidden = self._is_hidden(entry)
        view, problem = self._view(entry)
        return {
            **self._row(entry),
            "view": view,
            "view_problem": problem,
            "decisions": [d.model_dump() for d in self._seen(entry, hidden=hidden)],
            "panes": self._panes(entry),
            "overlay": not hidden and _overlay(entry).is_file(),
            "is_beside": self._beside is not None and self._beside.entry(entry) is not None,
            **evidence.told(self._folder, entry, hidden=hidden),
        }

    def beside(self, slide: str) -> dict[str, Any]:
        """Return what the other run's model says of a slide; Refused (404) where it has no result of it."""
        entry = self._folder.entry(slide)
        folder, other = self._other(entry)
        hidden = self._is_hidden(entry)
        row = worklist.row(other, viewable=self._tiles.has(slide), hidden=hidden)
        return {**row, "slide": slide, "decisions": [], **evidence.told(folder, other, hidden=hidden)}

    def _other(self, entry: Entry) -> tuple[ReviewFolder, Entry]:
        other = self._beside.entry(entry) if self._beside else None
        if self._beside is None or other is None:
            raise Refused(404, "E_NO_CASE", "No other run has a result of this slide.", next="Go back to the worklist.")
        return self._beside.folder, other

    def _view(self, entry: Entry) -> tuple[dict[str, Any] | None, str]:
        """Return how the slide is shown, and why it can't be, if so.

        A slide that can't be opened has no levels: the page shows its thumbnail, which covers `bounds`, in their place.
        """
        if is_volume(entry.result):
            return self._slices(entry), VOLUME
        scale, problem = frame(entry.result), ""
        mpp = (scale.mpp_x * scale.mpp_y) ** 0.5 if scale and entry.result.scale else None
        try:
            view = self._look(entry)
        except Refused as error:
            problem = f"{str(error).rstrip('.')}. {error.next}".strip()
            if scale is None:
                return None, problem
            view = View(scale.width, scale.height, (), mpp)
        levels = [{"id": number, **asdict(level)} for number, level in enumerate(view.levels)]
        bounds = scale.bounds if scale else [0, 0, view.width, view.height]
        size = {"width": view.width, "height": view.height, "bounds": bounds}
        return {**size, "levels": levels, "mpp": view.mpp if mpp is None else mpp}, problem

    def _slices(self, entry: Entry) -> dict[str, Any] | None:
        """Return the picture of a volume's slices as all there is to look at, in its own px; None where none can be read."""
        overlay = None if self._is_hidden(entry) else _size_of(_overlay(entry), "PNG")
        size = overlay or _size_of(entry.folder / "thumbnail.jpg", "JPEG")
        if size is None:
            return None
        width, height = size
        return {"width": width, "height": height, "bounds": [0, 0, width, height], "levels": [], "mpp": None}

    def overlay(self, slide: str) -> bytes:
        """Return a volume's slices with what was marked as a PNG; Refused (403) while hidden, (404) where there is none."""
        entry = self._folder.entry(slide)
        if self._is_hidden(entry):
            raise _hidden()
        return _bytes_of(_overlay(entry), entry)

    def thumbnail(self, slide: str) -> bytes:
        """Return the slide's overview as a JPEG; Refused (404) when it has none."""
        entry = self._folder.entry(slide)
        return _bytes_of(entry.folder / "thumbnail.jpg", entry)

    def look(self, slide: str, *, ahead: bool = False) -> View:
        """Return how a slide is shown; Refused where it can't be opened or isn't the one that was run."""
        return self._look(self._folder.entry(slide), ahead=ahead)

    def prepare_next(self, slide: str | None) -> tuple[str, View] | None:
        """Make ready what opens with the slide to review after this one (None: with the first of all).

        Returns which it is and how it is shown; None where none is left.
        """
        rows = self.cases()
        start = next((place for place, row in enumerate(rows, 1) if row["slide"] == slide), 0)
        left = (row for row in rows[start:] + rows[: max(start - 1, 0)] if row["viewable"] and not row["reviewed"])
        following = next((row["slide"] for row in left), None)
        if following is None:
            return None
        view, case = self.look(following, ahead=True), self.case(following)
        with contextlib.suppress(WsiError):  # whoever opens it is told
            self.outlines(following)
            for layer in (case["heat"] or {}).get("layers", ())[:1]:
                self.heat(following, layer["id"])
        return following, view

    def tile(self, key: TileKey) -> bytes:
        """Return a tile as a JPEG, which must be one of the slide's."""
        return self._tiles.tile(key)

    def crop(self, slide: str, piece: Piece) -> bytes:
        """Return a piece of level 0 as a JPEG; Refused (422) where it lies beyond the slide."""
        view = self._look(self._folder.entry(slide))
        if piece.x >= view.width or piece.y >= view.height or piece.width > view.width or piece.height > view.height:
            raise Refused(422, "E_RANGE", "The piece lies beyond the slide.", next="Reload the page.")
        return self._tiles.crop(slide, piece)

    def _look(self, entry: Entry, *, ahead: bool = False) -> View:
        result, scale = entry.result, frame(entry.result)
        if is_volume(result):
            raise Refused(404, "E_VOLUME", VOLUME)
        if result.status in ("refused", "failed") and not self._tiles.has(result.slide):  # nothing need have moved
            told = f"{printable(result.path)}: where it lies isn't known here."
            raise Refused(404, AbsentError.code, told, next="Start with --slides and the folder that was run.")
        try:
            view = self._tiles.look(result.slide, ahead=ahead)
        except WsiError as error:
            raise refused(error, subject=printable(result.path)) from error
        if scale and (view.width, view.height) != (scale.width, scale.height):
            told = f"{printable(result.path)}: another slide lies in its place now, of {view.width} x {view.height} px."
            raise Refused(404, AbsentError.code, told, next=next_step(AbsentError.code))
        return view

    def heat(self, slide: str, layer: str, *, beside: bool = False) -> bytes:
        """Return a layer of heat; Refused (403) while hidden, (404) when the slide has no such layer."""
        folder, entry, hidden = self._results(slide, beside=beside)
        if hidden:
            raise _hidden()
        key = ("heat", beside, entry.record.slide, layer, folder.stamps(entry.record.slide))
        content = self._kept.get(key) or heat.grid_bytes(folder.case(entry.record.slide), layer)
        if content is None:
            raise of_status(404)
        return self._kept.put(key, content)

    def outlines(self, slide: str, *, beside: bool = False) -> bytes:
        """Return the outlines as GeoJSON; while hidden only the tissue's."""
        folder, entry, hidden = self._results(slide, beside=beside)
        key = ("outlines", beside, entry.record.slide, hidden, folder.stamps(entry.record.slide))
        content = self._kept.get(key)
        if content is None:
            found = outlines(folder.case(entry.record.slide), hidden=hidden)
            content = self._kept.put(key, json.dumps(found, separators=(",", ":"), allow_nan=False).encode())
        return content

    def _results(self, slide: str, *, beside: bool) -> tuple[ReviewFolder, Entry, bool]:
        """Return where a slide's results lie, of this run or the one beside it, and whether they are hidden."""
        entry = self._folder.entry(slide)
        folder, found = self._other(entry) if beside else (self._folder, entry)
        return folder, found, self._is_hidden(entry)

    def decisions(self, slide: str) -> dict[str, Any]:
        """Return what was decided about a slide; while hidden only what the reviewer wrote."""
        entry = self._folder.entry(slide)
        return {"decisions": [d.model_dump() for d in self._seen(entry, hidden=self._is_hidden(entry))]}

    def decide(self, slide: str, body: bytes) -> dict[str, Any]:
        """Write a decision down and return it.

        Raises:
            Refused: it can't be kept, or (409) somebody decided meanwhile, or it comes before the own read that a blind
                review asks for.
            ArtifactError, NoSpaceError: nothing was written.
        """
        entry, draft = self._folder.entry(slide), parse_draft(body)
        told = entry_of(draft, entry.result, reviewer=self._reviewer, hidden=self._is_hidden(entry))

        def check() -> None:
            self._check_seen(entry, draft.seen)

        return {"entry": log.append(self._folder.out, told, check=check).model_dump()}

    def _check_seen(self, entry: Entry, seen: int | None) -> None:
        """Refuse (409) a decision whose author doesn't know of all that may be known of the slide's others."""
        there = self._seen(entry, hidden=self._is_hidden(entry))
        if seen is not None and len(there) > seen:
            told = f"{printable(there[-1].who)} decided meanwhile."
            raise Refused(409, "E_MEANWHILE", told, next="Look at it, then record yours.")

    def _panes(self, entry: Entry) -> list[dict[str, str]]:
        """Return the other slides that lie in the same folder: of one case, where a case has a folder."""
        folder, found = entry.result.path.rpartition("/")[0], []
        if folder:
            others = [other.result for other in self._folder.entries() if other.result.slide != entry.result.slide]
            found = [one for one in others if one.path.rpartition("/")[0] == folder]
        return [{"slide": one.slide, "name": printable(one.path)} for one in found[:MAX_PANES]]

    def _of(self, entry: Entry) -> list[Decision]:
        """Return the decisions on a slide; the log is read again when it has grown."""
        now = stamp(self._folder.out / REVIEW / LOG)
        if self._read is None or self._read[0] != now:
            found: dict[str, list[Decision]] = {}
            for decision in _decisions(self._folder.out):
                found.setdefault(decision.slide, []).append(decision)
            self._read = now, found
        return self._read[1].get(entry.record.slide, [])

    def _seen(self, entry: Entry, *, hidden: bool) -> list[Decision]:
        return [d for d in self._of(entry) if not hidden or d.who == self._reviewer]

    def _counted(self, entry: Entry) -> list[Decision]:
        """Return the decisions that tell how far the review is: those of the named reviewer, or of all without one."""
        return [d for d in self._of(entry) if self._reviewer in ("", d.who)]

    def _is_reviewed(self, entry: Entry) -> bool:
        return any(d.stage == "final" for d in self._counted(entry))

    def _is_hidden(self, entry: Entry) -> bool:
        """Return whether the verdict stays hidden: in a blind review until the reviewer's own read is written down."""
        return self._blind and not any(d.stage == "own" and d.who == self._reviewer for d in self._of(entry))


def _decisions(out: Path) -> list[Decision]:
    """Return the decisions of the log; Refused (409) where it is there and can't be read, which isn't that nobody decided."""
    try:
        (out / REVIEW / LOG).open("rb").close()
    except FileNotFoundError:
        return []
    except OSError as error:
        told = f"{REVIEW}/{LOG}: the decisions so far can't be read ({error.strerror or error})."
        raise Refused(
            409, ArtifactError.code, told, next="Make the file readable, then load the page again."
        ) from error
    return read_decisions(out)


def _hidden() -> Refused:
    return Refused(403, "E_HIDDEN", "Hidden until your own read is written down.", next="Write down your read.")


def _overlay(entry: Entry) -> Path:
    """Return where a volume's slices with what was marked lie; a folder's name, and so no file, of what is none."""
    return entry.folder / OVERLAY if is_volume(entry.result) else entry.folder


def _bytes_of(path: Path, entry: Entry) -> bytes:
    """Return a file of a slide's results; Refused (404) when it isn't there, (409) when it can't be read."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise of_status(404) from error
    except OSError as error:
        raise damaged(entry.result) from error


def _size_of(path: Path, kind: str) -> tuple[int, int] | None:
    """Return width and height of a picture; None where it can't be read."""
    try:
        with Image.open(path, formats=[kind]) as picture:
            return picture.size
    except (OSError, SyntaxError, ValueError):
        return None

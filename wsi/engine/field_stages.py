"""What each stage does for an image that is read whole: the same stages as a slide's, and the same files where they fit."""

from collections.abc import Callable, Iterator
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from wsi.card_image import AcceptsField
from wsi.encode import read_features, write_features
from wsi.engine.bench import Bench, Marks
from wsi.engine.book import Book, Entry, Refusal
from wsi.engine.field_facts import FieldFacts, Grid
from wsi.engine.recipe import Recipe, Stage
from wsi.engine.spool import blocks, open_spool
from wsi.engine.verdict_facts import verdict_facts
from wsi.errors import ModelError, NoTissueError, TooLargeError
from wsi.export import explanation
from wsi.export.heat_overlay import read_thumbnail_jpg, write_heat_overlay
from wsi.export.overlay import write_overlay
from wsi.field import Field
from wsi.predict import judge
from wsi.publish import publish
from wsi.regrid import onto
from wsi.results import Structure, write_scores
from wsi.results.mask import Mask, amounts, write_mask
from wsi.tile.windows_file import read_windows, write_windows
from wsi.windows import Windows, as_tile, cut, plan_windows, two_sides

FIELD_CODE: dict[Stage, int] = {"tissue": 3, "tile": 2, "encode": 1, "predict": 5}
"""Raised when a stage's code starts to give other bytes, so that older work is redone."""


def run_field_stage(stage: Stage, book: Book, bench: Bench) -> Entry:
    """Do one stage before the export and return its entry, its key still to be set.

    Raises:
        SlideError: the image goes no further.
    """
    return _STAGES[stage](book, bench)


def read_image(_book: Book, bench: Bench) -> Entry:
    facts, thumbnail = bench.image()
    artifacts = {"thumbnail.jpg": publish(bench.folder / "thumbnail.jpg", thumbnail)}
    refusal = None
    if facts.foreground == 0:
        refusal = Refusal(code=NoTissueError.code, reason=f"{bench.relative}: nothing but background in it")
    told = {"info": facts.model_dump(), "flaws": {}, "image": facts.image.model_dump()}
    return Entry(key="", artifacts=artifacts, facts=told, refusal=refusal)


def plan_image(book: Book, bench: Bench) -> Entry:
    facts, accepts = _facts(book), _accepts(bench.recipe)
    plan = windows_of(facts.prepared, bench.recipe, bench.relative)
    if accepts.foreground != "all" and len(plan) > 1:
        plan = _on_foreground(plan, bench.samples()[1], accepts.min_foreground)
    if not len(plan):
        raise NoTissueError(
            f"{bench.relative}: no window of {plan.window} samples holds {accepts.min_foreground:.0%} foreground"
        )
    digest = write_windows(bench.folder / "coords.h5", plan)
    told = {"wanted": len(plan), "window": _footprint(plan, facts.prepared)}
    return Entry(key="", artifacts={"coords.h5": digest}, facts=told)


def windows_of(grid: Grid, recipe: Recipe, name: str) -> Windows:
    """Return all windows of an image after preprocessing; TooLargeError by its name when they are too many."""
    accepts = _accepts(recipe)
    try:
        return plan_windows(grid.shape, accepts.window, accepts.overlap, multiple=recipe.multiple)
    except TooLargeError as error:
        raise TooLargeError(f"{name}: {error}") from error


def _footprint(plan: Windows, grid: Grid) -> list[float]:
    """Return the height and width of one of several windows of a picture, in px as read; [] of all else."""
    if len(grid.axes) != 2 or len(plan) < 2:
        return []
    return [side * step for side, step in zip(plan.window, grid.steps, strict=True)]


def _on_foreground(plan: Windows, foreground: NDArray[np.bool_] | None, least: float) -> Windows:
    if foreground is None:
        return plan
    shares = np.array([float(cut(foreground[None], corner, plan.window, pad=0).mean()) for corner in plan.corners])
    kept = plan.corners[(shares > 0) & (shares >= least)]
    return Windows(plan.shape, plan.padded, plan.window, kept)


def encode_image(book: Book, bench: Bench) -> Entry:
    assert bench.models is not None
    plan, facts = read_windows(bench.folder / "coords.h5"), _facts(book)
    with bench.clock.time("encode: loading the network"):
        encoder = bench.models.encoder()
    side = encoder.identity.tile_px
    if two_sides(plan.window) != (side, side):
        raise ModelError(
            f"model {bench.recipe.model_id}: windows of {' x '.join(map(str, plan.window))} samples, but its encoder takes "
            f"{side} x {side}"
        )
    field, _ = bench.samples()
    with open_spool(bench.folder) as spool:
        done = 0
        for tiles in _tiles(field, plan, batch=encoder.batch_size, pad=_accepts(bench.recipe).pad):
            with bench.clock.time("encode: network"):
                spool.write(encoder.encode(tiles).tobytes())
            done += len(tiles)
            bench.report("encode", done, len(plan))
        digest = write_features(
            bench.folder / "features.h5",
            places(plan, facts.prepared),
            blocks(spool, encoder.identity.dim),
            identity=encoder.identity,
            attributes={"patch_size": side, "patch_level": 0},
        )
    read = {"read": len(plan), "unreadable": 0, "identity": asdict(encoder.identity)}
    return Entry(key="", artifacts={"features.h5": digest}, facts=read)


def _tiles(field: Field, plan: Windows, *, batch: int, pad: float | None) -> Iterator[NDArray[np.uint8]]:
    """Yield windows as pictures `(B, side, side, 3)`, values 0 to 255 rounded."""
    for start in range(0, len(plan), batch):
        some = [
            as_tile(cut(field.values, corner, plan.window, pad=pad)) for corner in plan.corners[start : start + batch]
        ]
        yield np.stack(some)


def places(plan: Windows, grid: Grid) -> NDArray[np.int32]:
    """Return where windows begin, `(N, 2)`: x, y in px of the picture as it was read; of a volume their number and 0."""
    if len(grid.axes) != 2:
        return np.stack([np.arange(len(plan)), np.zeros(len(plan))], axis=1).astype(np.int32)
    corners = (
        grid.empty().to_world(plan.corners.astype(np.float64) - 0.5) + 0.5
    )  # of px, whose centers are whole numbers
    return np.rint(corners[:, ::-1]).astype(np.int32)


def judge_image(book: Book, bench: Bench) -> Entry:
    assert bench.models is not None
    features = read_features(bench.folder / "features.h5")
    verdict = judge(bench.models.model(), features.coords, features.features)
    artifacts = {"scores.h5": write_scores(bench.folder / "scores.h5", verdict.scores)}
    found = verdict_facts(verdict, bench.recipe)
    facts = _facts(book)
    if len(facts.read.axes) == 2:
        with bench.clock.time("predict: heat"):
            heat = bench.models.explain(bench.samples()[0])
        if heat is not None:
            means = bench.models.model().card.head.speaks_for
            seen = on_thumbnail(heat, facts, read_thumbnail_jpg(bench.folder).shape[:2])
            artifacts["heatmap.png"] = write_heat_overlay(bench.folder, seen, means=means)
            artifacts[explanation.NAME] = explanation.write_explanation(bench.folder, seen, means=means)
            found["explained"] = means
    return Entry(key="", artifacts=artifacts, facts=found)


def on_thumbnail(heat: Field, facts: FieldFacts, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return a picture's heat at the px of its thumbnail `(h, w)`; NaN outside of a round field of view."""
    small = onto(heat, *_shrunk(facts.read, shape), order=1)
    values: NDArray[np.float32] = small.values[0]
    view = facts.circle
    if view is not None:
        places = small.to_world(np.moveaxis(np.indices(shape, np.float64), 0, -1))
        values[np.hypot(places[..., 0] - view.row, places[..., 1] - view.column) > view.radius] = np.nan
    return values


def _shrunk(grid: Grid, shape: tuple[int, ...]) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Return the shape and affine of an image's grid at another size."""
    scale = [length / side for length, side in zip(grid.shape, shape, strict=True)]
    start = [(one - 1) / 2 for one in scale]  # the middle of the first px
    empty = grid.empty()
    return shape, empty.moved(empty.values, start=start, scale=scale).affine


def mark_image(book: Book, bench: Bench) -> Entry:
    assert bench.models is not None
    facts = _facts(book)
    with bench.clock.time("predict: loading the network"):
        marker = bench.models.marker()
    prepared, _ = bench.samples()
    plan, original = read_windows(bench.folder / "coords.h5"), facts.read.empty()
    with bench.clock.time("predict: network"):
        labels = marker.mark(
            prepared, original, view=facts.circle, plan=plan, beat=lambda: bench.report("predict", 0, 0)
        )
    mask = Mask(labels, original.affine, original.steps, tuple(facts.read.axes), facts.read.unit)
    structures, found = _verdict(marker, mask, facts, bench.recipe, plan)
    artifacts = {
        "mask.h5": write_mask(bench.folder / "mask.h5", mask),
        "overlay.png": write_overlay(bench.folder, prepared, mask, structures),
    }
    return Entry(key="", artifacts=artifacts, facts=found)


def _verdict(
    marker: Marks, mask: Mask, facts: FieldFacts, recipe: Recipe, plan: Windows
) -> tuple[list[Structure], dict[str, object]]:
    """Return what was marked, and the facts that are kept of it."""
    where = _accepts(recipe).foreground
    found = amounts(mask, marker.card.structures, foreground=facts.foreground, where=where, spacing=facts.spacing)
    reasons = []
    for structure, one in zip(marker.card.structures, found, strict=True):
        if structure.usual is None or one.unit != structure.unit:
            continue
        low, high = structure.usual
        if not low <= one.amount <= high:
            least, most = (one.model_copy(update={"amount": end}).told for end in structure.usual)
            reasons.append(f"{one.name} is {one.told}, but the model was tested on {least} to {most}")
    return found, {
        "structures": [one.model_dump() for one in found],
        "refer": bool(reasons),
        "refer_reason": "; ".join(reasons),
        "flags": ["unusual-amount"] if reasons else [],
        "read": len(plan),
        "unreadable": 0,
        "model": {"id": recipe.model_id, "version": recipe.model_version, "sha256": recipe.model_sha256},
    }


def _facts(book: Book) -> FieldFacts:
    return FieldFacts.model_validate(book.stages["tissue"].facts["info"])


def _accepts(recipe: Recipe) -> AcceptsField:
    assert recipe.field is not None
    return recipe.field


def _predict(book: Book, bench: Bench) -> Entry:
    return mark_image(book, bench) if bench.recipe.dense else judge_image(book, bench)


_STAGES: dict[Stage, Callable[[Book, Bench], Entry]] = {
    "tissue": read_image,
    "tile": plan_image,
    "encode": encode_image,
    "predict": _predict,
}

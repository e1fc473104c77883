"""What each stage does for one slide: its files, and what was found on the way."""

import io
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi.config import EngineConfig, TileConfig, TissueConfig
from wsi.encode import read_features, write_features
from wsi.engine.bench import Bench, Encodes
from wsi.engine.book import Book, Entry, Refusal
from wsi.engine.describe import scale_of, tile_counts
from wsi.engine.field_stages import run_field_stage
from wsi.engine.recipe import Recipe, Stage
from wsi.engine.slide_info import SlideInfo
from wsi.engine.spool import blocks, open_spool
from wsi.engine.verdict_facts import verdict_facts
from wsi.errors import LossError, NoTissueError
from wsi.export import export_slide
from wsi.export.image import export_image
from wsi.predict import judge
from wsi.publish import publish
from wsi.results import Scores, last_words, read_case, write_scores
from wsi.tile import TilePlan, plan_tiles, read_coords, tile_footprint, tile_grain, write_coords
from wsi.tile.coords import patch_attributes
from wsi.tissue import from_geojson

STAGE_CODE: dict[Stage, int] = {"tissue": 2, "tile": 2, "encode": 2, "predict": 1, "export": 5}
"""Raised when a stage's code starts to give other bytes, so that older work is redone."""
TOP_TILE_QUALITY = 88
MAX_DECODE_THREADS = 16


def run_stage(stage: Stage, book: Book, bench: Bench) -> Entry:
    """Do one stage and return its entry, its key still to be set.

    Raises:
        SlideError, AnnotationError: the slide goes no further.
    """
    bench.report(stage, 0, 0)
    with bench.clock.time(stage):
        if bench.recipe.field is not None and stage != "export":
            return run_field_stage(stage, book, bench)
        return _STAGES[stage](book, bench)


def find_slide_tissue(_book: Book, bench: Bench) -> Entry:
    decoder, info = bench.open()
    config = bench.recipe.config.tissue
    check_drawn(config, bench.annotation, bench.relative)
    if bench.models is not None and "encode" in bench.recipe.stages:
        bench.models.expect_encoder()
    facts, thumbnail, geojson = decoder.survey(
        bench.slide, bench.relative, config, annotation=bench.annotation, offset=info.offset
    )
    artifacts = {
        "thumbnail.jpg": publish(bench.folder / "thumbnail.jpg", thumbnail),
        "tissue.geojson": publish(bench.folder / "tissue.geojson", geojson),
    }
    facts = {**facts, "info": info.model_dump()}
    refusal = (
        Refusal(code=NoTissueError.code, reason=f"{bench.relative}: {facts['reason']}") if facts["reason"] else None
    )
    return Entry(key="", artifacts=artifacts, facts=facts, refusal=refusal)


def check_drawn(config: TissueConfig, annotation: Path | None, relative: str) -> None:
    """Raise NoTissueError for a slide without polygons where only drawn ones are looked at."""
    if config.polygons is not None and annotation is None:
        raise NoTissueError(
            f"{relative}: no polygons for it in the folder given with --tissue; expected a file with the slide's name "
            "there (.geojson, .geojson.gz or .xml)"
        )


def plan_slide_tiles(book: Book, bench: Bench) -> Entry:
    info = SlideInfo.model_validate(book.stages["tissue"].facts["info"])
    plan = plan_of(info, (bench.folder / "tissue.geojson").read_bytes(), bench.recipe)
    facts = {"wanted": len(plan), "scale": scale_of(plan, info).model_dump()}
    check_tiles(plan, bench.recipe.config.tile, bench.relative)
    digest = write_coords(bench.folder / "coords.h5", plan, slide_mpp=info.mpp, size=info.size)
    return Entry(key="", artifacts={"coords.h5": digest}, facts=facts)


def check_tiles(plan: TilePlan, config: TileConfig, relative: str) -> None:
    """Raise NoTissueError for a slide of which no tile holds enough tissue."""
    if not len(plan):
        raise NoTissueError(
            f"{relative}: no tile of {plan.tile_px} px at {plan.mpp:.4g} µm/px holds {config.min_tissue:.0%} tissue"
        )


def plan_of(info: SlideInfo, geojson: bytes, recipe: Recipe) -> TilePlan:
    """Return the tile plan of a slide whose tissue is known.

    Raises:
        ResolutionError: the slide is too coarse for the tiles wanted.
    """
    downsamples = tuple(level.downsample for level in info.pyramid)
    footprint = tile_footprint(recipe.tile_px, recipe.mpp, info.mpp, downsamples=downsamples)
    return plan_tiles(
        from_geojson(geojson).polygons,
        info.bounds,
        tile_px=recipe.tile_px,
        mpp=recipe.mpp,
        footprint=footprint,
        grain=tile_grain(footprint, recipe.tile_px, downsamples),
        overlap=recipe.config.tile.overlap,
        min_tissue=recipe.config.tile.min_tissue,
    )


def encode_slide(book: Book, bench: Bench) -> Entry:
    assert bench.models is not None
    info = SlideInfo.model_validate(book.stages["tissue"].facts["info"])
    plan = read_coords(bench.folder / "coords.h5")
    with bench.clock.time("encode: loading the network"):
        encoder = bench.models.encoder()
    with open_spool(bench.folder) as spool:
        kept = _encode_into(spool, plan, encoder, bench)
        digest = write_features(
            bench.folder / "features.h5",
            plan.coords[kept],
            blocks(spool, encoder.identity.dim),
            identity=encoder.identity,
            attributes=patch_attributes(plan, info.mpp, info.size),
        )
    read = int(kept.sum())
    facts = {"read": read, "unreadable": len(plan) - read, "identity": asdict(encoder.identity)}
    refusal = None
    if not read:
        refusal = Refusal(code=LossError.code, reason=f"{bench.relative}: none of {len(plan)} tiles could be decoded")
    return Entry(key="", artifacts={"features.h5": digest}, facts=facts, refusal=refusal)


def _encode_into(spool: io.BufferedRandom, plan: TilePlan, encoder: Encodes, bench: Bench) -> NDArray[np.bool_]:
    """Append the features of all readable tiles to `spool` and return which tiles they are, `(N,)`."""
    kept = np.zeros(len(plan), bool)
    done = 0
    threads = decode_threads(bench.recipe.config.engine, on_cpu=encoder.on_cpu)
    for tiles, good in bench.tiles(plan, plan.coords, batch=encoder.batch_size, threads=threads):
        kept[done : done + len(good)] = good
        with bench.clock.time("encode: network"):
            features = encoder.encode(tiles if good.all() else tiles[good])
        spool.write(features.tobytes())
        done += len(good)
        bench.report("encode", done, len(plan))
    return kept


def decode_threads(config: EngineConfig, *, on_cpu: bool) -> int:
    """Return how many threads decode: on a CPU one, for the encoder has work for the others."""
    if config.decode_threads is not None:
        return config.decode_threads
    return 1 if on_cpu else min(MAX_DECODE_THREADS, config.threads or 1)


def grade_slide(book: Book, bench: Bench) -> Entry:
    assert bench.models is not None
    tiles, limit = tile_counts(book), bench.recipe.config.tile.max_unreadable
    if tiles.unreadable > limit * tiles.wanted:
        raise LossError(
            f"{bench.relative}: {tiles.unreadable} of {tiles.wanted} tiles could not be decoded, more than the "
            f"{limit:.0%} that may be missing for a grade; the features of the others are kept"
        )
    features = read_features(bench.folder / "features.h5")
    flaws = book.stages["tissue"].facts["flaws"]
    verdict = judge(bench.models.model(), features.coords, features.features, quality=flaws)
    artifacts = {
        "scores.h5": write_scores(bench.folder / "scores.h5", verdict.scores),
        "top_tiles.jpg": publish(bench.folder / "top_tiles.jpg", _top_tiles(verdict.scores, bench)),
    }
    return Entry(key="", artifacts=artifacts, facts=verdict_facts(verdict, bench.recipe))


def _top_tiles(scores: Scores, bench: Bench) -> bytes:
    """Return a JPEG with the tiles of most attention side by side, the most first."""
    plan = read_coords(bench.folder / "coords.h5")
    wanted = bench.recipe.config.export.top_tiles
    order = np.argsort(-scores.attention, kind="stable")[:wanted]
    strips = [tiles[good].copy() for tiles, good in bench.tiles(plan, scores.coords[order], batch=4)]
    tiles = np.concatenate([*strips, np.zeros((0, plan.tile_px, plan.tile_px, 3), np.uint8)])
    strip = (
        np.concatenate(list(tiles), axis=1) if len(tiles) else np.full((plan.tile_px, plan.tile_px, 3), 255, np.uint8)
    )
    buffer = io.BytesIO()
    Image.fromarray(strip).save(buffer, "JPEG", quality=TOP_TILE_QUALITY)
    return buffer.getvalue()


def export_slide_files(_book: Book, bench: Bench) -> Entry:
    """Write the files for people; what the result is of says which, for `wsi-run export` knows no model."""
    case = read_case(bench.folder)
    decisions = last_words(bench.folder.parent.parent, bench.slide)
    if case.result.image is not None:
        return Entry(key="", artifacts=export_image(case, decisions=decisions))
    return Entry(key="", artifacts=export_slide(case, bench.recipe.config.export, decisions=decisions))


_STAGES: dict[Stage, Callable[[Book, Bench], Entry]] = {
    "tissue": find_slide_tissue,
    "tile": plan_slide_tiles,
    "encode": encode_slide,
    "predict": grade_slide,
    "export": export_slide_files,
}

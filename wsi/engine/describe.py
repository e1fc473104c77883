"""A slide's book told as a Result and as a line of the journal."""

from typing import Any

from wsi import __version__
from wsi.engine.book import Book, Refusal
from wsi.engine.recipe import STAGES
from wsi.engine.slide_info import SlideInfo
from wsi.errors import LossError, RegionError
from wsi.results import ImageFacts, Provenance, Record, Result, Scale, Status, TileCounts
from wsi.tile import TilePlan

FLAW_SHOWN = 0.05
"""A flaw that takes less of the tissue than this is measured, but not flagged."""


def describe(book: Book) -> Result:
    """Return what is known of the slide."""
    facts = {name: entry.facts for name, entry in book.stages.items()}
    tissue, encode, predict = (facts.get(name, {}) for name in ("tissue", "encode", "predict"))
    tiles = tile_counts(book)
    status, refusal = verdict(book)
    graded = bool(predict.get("classes") or predict.get("value") or predict.get("structures"))
    flaws = tissue.get("flaws", {})
    flags = [name for name, share in flaws.items() if share >= FLAW_SHOWN]
    flags += ["unreadable-tiles"] if tiles.unreadable else []
    result = Result(
        slide=book.slide,
        path=book.path,
        status=status,
        code=refusal.code,
        reason=refusal.reason,
        quality=flaws,
        tissue_mm2=tissue.get("area_mm2", 0.0),
        tiles=tiles,
        flags=flags,
        refer_reason="" if graded else "no grade",
        image=_image(tissue, facts.get("tile", {}), predict),
        scale=Scale.model_validate(facts["tile"]["scale"]) if "scale" in facts.get("tile", {}) else None,
        provenance=_provenance(book, tissue.get("info", {}), encode, predict),
    )
    if not graded:
        return result
    told = {**predict, "flags": flags + [flag for flag in predict["flags"] if flag not in flags]}
    told.pop("model")
    for name in ("read", "unreadable", "explained"):
        told.pop(name, None)
    return Result.model_validate({**result.model_dump(), **told})


def _image(tissue: dict[str, Any], tile: dict[str, Any], predict: dict[str, Any]) -> ImageFacts | None:
    """Return what is known of an image that is read whole; None for a slide."""
    told = tissue.get("image")
    later = {"window": tile.get("window", []), "explained": predict.get("explained", "")}
    return ImageFacts.model_validate({**told, **later}) if told else None


def record_of(book: Book) -> Record:
    """Return the slide's line for the journal, without the files that describe the book itself."""
    status, refusal = verdict(book)
    return Record(
        slide=book.slide,
        path=book.path,
        status=status,
        code=refusal.code,
        reason=refusal.reason,
        tiles=tile_counts(book),
        artifacts=book.artifacts,
        key=next((entry.key for entry in reversed(book.stages.values())), ""),
    )


def verdict(book: Book) -> tuple[Status, Refusal]:
    """Return the slide's status, and the code and reason when it isn't ok."""
    refused = next((e.refusal for e in book.stages.values() if e.refusal is not None), None)
    tiles = tile_counts(book)
    if refused is not None:
        partial = refused.code == LossError.code and tiles.read > 0
        return ("partial" if partial else "refused"), refused
    if tiles.unreadable:
        reason = f"{tiles.unreadable} of {tiles.wanted} tiles could not be decoded and were left out"
        return "partial", Refusal(code=RegionError.code, reason=reason)
    return "ok", Refusal(code="", reason="")


def tile_counts(book: Book) -> TileCounts:
    """Return how many tiles were wanted, read and lost, as far as the slide came."""
    counted = {name: book.stages[name].facts for name in STAGES if name in book.stages}
    return TileCounts(
        wanted=counted.get("tile", {}).get("wanted", 0),
        read=counted.get("encode", {}).get("read", counted.get("predict", {}).get("read", 0)),
        unreadable=counted.get("encode", {}).get("unreadable", 0),
    )


def scale_of(plan: TilePlan, info: SlideInfo) -> Scale:
    """Return how the tiles of a plan lie on the slide."""
    return Scale(
        width=info.size.width,
        height=info.size.height,
        bounds=info.bounds_px0,
        mpp_x=info.mpp_x,
        mpp_y=info.mpp_y,
        mpp_source=info.mpp_source,
        tile_px=plan.tile_px,
        tile_mpp=plan.mpp,
        tile_px0_x=plan.footprint.x,
        tile_px0_y=plan.footprint.y,
        stride_px0_x=plan.stride.x,
        stride_px0_y=plan.stride.y,
    )


def _provenance(
    book: Book, info: dict[str, str], encode: dict[str, dict[str, str]], predict: dict[str, dict[str, str]]
) -> Provenance:
    identity, model = encode.get("identity", {}), predict.get("model", {})
    tissue = book.stages.get("tissue")
    return Provenance(
        wsi_run=__version__,
        slide_sha256=tissue.facts.get("slide_sha256", "") if tissue else "",
        reader=info.get("reader", ""),
        model=model.get("id", ""),
        model_version=model.get("version", ""),
        model_sha256=model.get("sha256", ""),
        encoder=identity.get("id", ""),
        encoder_sha256=identity.get("weights_sha256", ""),
        precision=identity.get("precision", ""),
        backend=identity.get("backend", "torch"),
        key=next((entry.key for name, entry in reversed(book.stages.items()) if name != "export"), ""),
    )

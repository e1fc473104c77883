"""What a run would do: each slide's scale, tissue and tiles, or why it would be refused. Nothing is written."""

from dataclasses import asdict, dataclass
from pathlib import Path

from wsi.engine.decoder import Decoder
from wsi.engine.field_stages import windows_of
from wsi.engine.recipe import Recipe
from wsi.engine.run import task_of
from wsi.engine.stages import check_drawn, check_tiles, plan_of
from wsi.errors import AnnotationError, ChildError, NoTissueError, SlideError
from wsi.read import MppTable, Rejected, SlideFile
from wsi.tissue import find_annotation

BYTES_A_TILE = 1500
"""Annotations and heatmap, besides the features."""
FEATURE_BYTES = 4


@dataclass(frozen=True, slots=True)
class Preview:
    """One row of a dry run; `code` is "" for a slide that would be worked on. bytes: estimate of its files."""

    slide: str
    width: int = 0
    height: int = 0
    mpp: float = 0.0
    mpp_source: str = ""
    reader: str = ""
    tissue_mm2: float = 0.0
    tiles: int = 0
    bytes: int = 0
    code: str = ""
    reason: str = ""
    image: str = ""
    """Of an image that is read whole: its size, in words."""

    def as_dict(self) -> dict[str, object]:
        return {key: value for key, value in asdict(self).items() if key != "image" or value}


def preview(found: list[SlideFile | Rejected], recipe: Recipe, *, table: MppTable | None) -> list[Preview]:
    """Return one row a slide, read by a decoder process like the run itself."""
    decoder = Decoder(recipe.config.engine)
    try:
        return [_row(slide, recipe, decoder, table) for slide in found]
    finally:
        decoder.stop()


def _row(slide: SlideFile | Rejected, recipe: Recipe, decoder: Decoder, table: MppTable | None) -> Preview:
    if isinstance(slide, Rejected):
        return Preview(slide.id, code=slide.code, reason=slide.reason)
    try:
        return _look(slide, recipe, decoder, table)
    except (SlideError, AnnotationError, ChildError) as error:
        return Preview(slide.id, code=error.code, reason=str(error))


def _look(slide: SlideFile, recipe: Recipe, decoder: Decoder, table: MppTable | None) -> Preview:
    task, config = task_of(slide, table), recipe.config
    if recipe.field is not None:
        read, _ = decoder.open_field(task.files, slide.relative, recipe.field)
        windows = len(windows_of(read.prepared, recipe, slide.relative))
        size = windows * FEATURE_BYTES * recipe.dim
        return Preview(slide.id, reader=read.reader, tiles=windows, bytes=size, image=read.image.told)
    info = decoder.open(slide.path, slide.relative, config.read, mpp_row=task.mpp_row)
    polygons = config.tissue.polygons
    drawn = find_annotation(Path(polygons), slide.relative) if polygons else None
    check_drawn(config.tissue, drawn, slide.relative)
    facts, _, geojson = decoder.survey(slide.id, slide.relative, config.tissue, annotation=drawn, offset=info.offset)
    if facts["reason"]:
        raise NoTissueError(facts["reason"])
    tiles = 0
    if recipe.tile_px:
        plan = plan_of(info, geojson, recipe)
        tiles = len(plan)
        if "tile" in recipe.stages:
            check_tiles(plan, config.tile, slide.relative)
    return Preview(
        slide.id,
        info.size.width,
        info.size.height,
        info.mpp.mean,
        info.mpp_source,
        info.reader,
        facts["area_mm2"],
        tiles,
        tiles * (BYTES_A_TILE + FEATURE_BYTES * recipe.dim),
    )

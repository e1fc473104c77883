"""What a run writes when all slides are through: the folder's own files, and the list of all hashes."""

import contextlib
import json
from collections.abc import Container, Sequence
from pathlib import Path

import yaml

from wsi import __version__
from wsi.config import Config, EncodeConfig, Strict, read_yaml
from wsi.engine import journal
from wsi.engine.digests import remembered_digest
from wsi.engine.recipe import Recipe, Stage
from wsi.engine.tidy import remove_slide
from wsi.export import export_run, known_places
from wsi.locks import LOCK, lock
from wsi.publish import TEMPORARY, publish, sha256_bytes
from wsi.read import Rejected, SlideFile
from wsi.results import RESEARCH_USE, REVIEW, SEGMENTATION, Record

SUMS = "SHA256SUMS"
EVALUATION = "evaluation"
RUN = "run.yaml"


def finish(
    out: Path, recipe: Recipe, found: Sequence[SlideFile | Rejected], *, before: Container[str] | None = None
) -> None:
    """Settle the journal and write run.yaml, predictions.csv, report.html, qupath/ and SHA256SUMS.

    Args:
        found: the slides of this run. A slide that lay in the place of one of them before with another content is
            replaced: its folder goes. One of the same relative path in another folder stays.
        before: ids of the slides that had results when the run began, of which alone it knows that what it found came
            later; None: all had.
    """
    with lock(out, wait=True):
        for part in (*out.glob(TEMPORARY + "*"), *out.glob(f"qupath/**/{TEMPORARY}*")):
            part.unlink(missing_ok=True)
        records = _current(out, found, before)
        journal.settle(out, records)
        put(out / RUN, render_run(recipe))
        links = {slide.id: slide.place for slide in found if slide.place != slide.path}
        export_run(out, records, places={slide.id: slide.path for slide in found}, links=links)
        put(out / SUMS, render_sums(out, records))


def _current(out: Path, found: Sequence[SlideFile | Rejected], before: Container[str] | None) -> list[Record]:
    """Return the records whose slides are still what they were, and remove the folders of the others."""
    here = {slide.id for slide in found}
    now = {(slide.relative, place.as_uri()) for slide in found for place in (slide.path, slide.place)}
    places, kept = known_places(out), []
    for record in journal.read(out).values():
        folder = out / "slides" / record.slide
        is_older = record.slide not in here and (before is None or record.slide in before)
        is_replaced = is_older and (record.path, places.get(record.slide)) in now
        if is_replaced and remove_slide(folder, record.path):
            continue
        if folder.is_dir():
            kept.append(record)
    return sorted(kept, key=lambda record: (record.path, record.slide))


class _Model(Strict):
    id: str
    version: str
    sha256: str


class _Encoder(Strict):
    id: str
    sha256: str
    weights_sha256: str


class _RunFile(Strict):
    """run.yaml: the settings that decide what a run writes, and the hashes of its networks.

    Paths of this machine, the number of workers and the like are left out: they change nothing.
    """

    notice: str = RESEARCH_USE
    wsi_run: str
    until: Stage
    tile_px: int
    mpp: float
    model: _Model
    encoder: _Encoder
    config: Config


def render_run(recipe: Recipe) -> bytes:
    """Return run.yaml for a recipe."""
    config = recipe.config
    plain = Config(
        model=recipe.model_id or None,
        read=config.read.model_copy(update={"mpp_table": None}),
        tissue=config.tissue.model_copy(update={"polygons": "drawn" if config.tissue.polygons else None}),
        tile=config.tile,
        encode=EncodeConfig(
            encoder=recipe.encoder_id or None,
            precision=config.encode.precision,
            backend=config.encode.backend,
            fused=config.encode.fused,
        ),
        export=config.export,
    )
    told = _RunFile(
        wsi_run=__version__,
        until=recipe.until,
        tile_px=recipe.tile_px,
        mpp=recipe.mpp,
        model=_Model(id=recipe.model_id, version=recipe.model_version, sha256=recipe.model_sha256),
        encoder=_Encoder(id=recipe.encoder_id, sha256=recipe.encoder_sha256, weights_sha256=recipe.weights_sha256),
        config=plain,
    )
    content = told.model_dump()
    del content["config"]["engine"]
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode()


def read_run(out: Path) -> Recipe:
    """Return the recipe that OUT was made by, as far as run.yaml tells it; no network's place is in it.

    Raises:
        ConfigError: no run has finished in OUT, or run.yaml was changed into something else.
    """
    told = read_yaml(out / RUN, _RunFile)
    return Recipe(
        until=told.until,
        config=told.config,
        tile_px=told.tile_px,
        mpp=told.mpp,
        encoder_id=told.encoder.id,
        encoder_sha256=told.encoder.sha256,
        weights_sha256=told.encoder.weights_sha256,
        model_id=told.model.id,
        model_version=told.model.version,
        model_sha256=told.model.sha256,
    )


def put(path: Path, content: bytes) -> None:
    """Publish `content` unless it is there already."""
    if not path.is_file() or path.read_bytes() != content:
        publish(path, content)


def render_sums(out: Path, records: Sequence[Record]) -> bytes:
    """Return the sha256 of every file in `out`, as `sha256sum -c` reads it; the last line covers the list itself.

    A slide's files are listed as they were published, so that what changed since stays found.
    """
    digests = {out / "slides" / r.slide / name: digest for r in records for name, digest in r.artifacts.items()}
    others = {path for path in out.rglob("*") if path.is_file() and is_listed(path, out)} - set(digests)
    for path in others:
        with contextlib.suppress(OSError):  # gone with another run, which lists again at its end; or not to be read
            digests[path] = remembered_digest(path)
    lines = "".join(f"{digests[path]}  {listed_name(path, out)}\n" for path in sorted(digests))
    listed = lines.encode("utf-8", "surrogateescape")  # a name's own bytes, by which `sha256sum -c` finds it
    return listed + f"# {sha256_bytes(listed)}\n".encode()


def is_listed(path: Path, out: Path) -> bool:
    """Return whether a run answers for a file below `out`: what `wsi-run evaluate` and people add later is none of its."""
    inside = path.relative_to(out)
    is_passing = path.name == LOCK or path.name.startswith(TEMPORARY)
    is_own = path != out / SUMS and path.name != SEGMENTATION and inside.parts[0] not in (EVALUATION, REVIEW)
    return is_own and not is_passing


def listed_name(path: Path, out: Path) -> str:
    return json.dumps(path.relative_to(out).as_posix(), ensure_ascii=False)[1:-1]

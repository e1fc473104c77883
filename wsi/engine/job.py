"""One slide through the stages, from where an earlier run left it. The same job on every kind of engine."""

import json
from collections.abc import Callable
from pathlib import Path

from wsi import __version__
from wsi.config import ReadConfig, Strict
from wsi.engine.bench import Bench, Models
from wsi.engine.book import BOOK, Book, Entry, Refusal, is_intact, make_key, read_book, write_book
from wsi.engine.clock import Clock
from wsi.engine.decoder import Decoder
from wsi.engine.describe import describe, record_of
from wsi.engine.digests import identity, slide_digest
from wsi.engine.field_stages import FIELD_CODE
from wsi.engine.recipe import Recipe, Stage
from wsi.engine.stages import STAGE_CODE, run_stage
from wsi.engine.tidy import remove_own
from wsi.errors import AnnotationError, ArtifactError, ChangedError, SlideError
from wsi.geometry import Mpp
from wsi.locks import lock
from wsi.printable import spelled_name
from wsi.publish import publish, sha256_bytes, sha256_file, sweep
from wsi.read import agrees_with_table
from wsi.results import Record, last_words

Report = Callable[[str, int, int], None]
"""(stage, steps done, steps in all)"""
RESULT = "result.json"


class Task(Strict):
    """One slide to work on. `files` are all files that make it up."""

    slide: str
    relative: str
    path: str
    files: list[str]
    mpp_row: list[float] | None = None
    """The slide's µm per px (x, y) in the table that the user gave."""


def run_job(
    task: Task,
    folder: Path,
    recipe: Recipe,
    *,
    decoder: Decoder,
    models: Models,
    report: Report,
    clock: Clock | None = None,
) -> Record:
    """Bring the slide as far as the recipe says and return its record.

    Raises:
        LockedError: another run works on this slide.
        ChildError: the decoder failed for good; what was done so far stays done.
        NoSpaceError, ModelError: the run can't go on.
    """
    with lock(folder):
        sweep(folder)
        files = tuple(Path(file) for file in task.files)
        before = _lies(files, task.relative)
        book = read_book(folder, slide=task.slide, path=task.relative)
        clock = clock or Clock()
        bench = Bench(
            task.path,
            task.slide,
            task.relative,
            folder,
            recipe,
            decoder,
            models,
            report,
            task.mpp_row,
            clock,
            tuple(task.files),
        )
        report("hash", 0, 0)
        with clock.time("hash"):
            sha256 = slide_digest(files)
        book = _stages(book, bench, task, sha256)
        try:
            if _lies(files, task.relative) != before:
                raise ChangedError(f"{task.relative}: the file changed while it was read; run again when it is at rest")
        except ChangedError:
            write_book(folder, Book(slide=task.slide, path=task.relative))
            raise
        return close_book(book, folder)


def _lies(files: tuple[Path, ...], relative: str) -> tuple[tuple[int, ...], ...]:
    """Return what tells a slide's files from others; ChangedError when they can't be reached any more."""
    try:
        return identity(files)
    except OSError as error:
        raise ChangedError(
            f"{relative}: can't be reached any more ({error.strerror}); bring it back and run the same command again"
        ) from error


def _stages(book: Book, bench: Bench, task: Task, sha256: str) -> Book:
    for stage in bench.recipe.stages:
        key = stage_key(stage, book, bench, task, sha256)
        if not book.is_done(stage, key, bench.folder):
            book = _advance(stage, key, book, bench, sha256)
            if stage == "tissue":  # the slide has now said its scale, which decides the key it is kept under
                entry = book.stages[stage]
                key = stage_key(stage, book, bench, task, sha256)
                book = book.with_stage(stage, entry.model_copy(update={"key": key}))
                write_book(bench.folder, book)
        if book.stages[stage].refusal is not None and stage != "predict":
            return book
    return book


def _advance(stage: Stage, key: str, book: Book, bench: Bench, sha256: str) -> Book:
    """Do a stage and write it down; a slide that can't be used is an entry with its reason, not an error."""
    if stage == "export":
        made = {name for entry in book.before(stage).values() for name in entry.artifacts}
        remove_own(bench.folder, book.path, keep={*made, BOOK})  # else an earlier model's mask counts as this one's
        publish_result(book, bench.folder)
    try:
        entry = run_stage(stage, book, bench)
    except (SlideError, AnnotationError) as error:
        entry = Entry(key=key, refusal=Refusal(code=error.code, reason=spelled_name(str(error))))
    facts = {**entry.facts, "slide_sha256": sha256} if stage == "tissue" else entry.facts
    book = book.with_stage(stage, entry.model_copy(update={"key": key, "facts": facts}))
    write_book(bench.folder, book)
    return book


def stage_key(stage: Stage, book: Book, bench: Bench, task: Task, sha256: str) -> str:
    """Return the key a stage's work is kept under: all that its bytes depend on, and nothing else."""
    recipe, config = bench.recipe, bench.recipe.config
    parts: list[object]
    if recipe.field is not None and stage != "export":
        return make_key(stage, FIELD_CODE[stage], book.upstream_key(stage), *_field_parts(stage, recipe, sha256))
    match stage:
        case "tissue":
            parts = [
                __version__,
                sha256,
                config.read.reader,
                _scale_part(book, config.read, task),
                *_tissue_parts(bench),
            ]
        case "tile":
            parts = [recipe.tile_px, recipe.mpp, config.tile.overlap, config.tile.min_tissue]
        case "encode":
            parts = [*_encoder_parts(recipe), config.read.scaled]
        case "predict":
            parts = [recipe.model_sha256, config.tile.max_unreadable, config.export.top_tiles]
        case "export":
            return export_key(book, recipe, bench.folder)
    return make_key(stage, STAGE_CODE[stage], book.upstream_key(stage), *parts)


def _field_parts(stage: Stage, recipe: Recipe, sha256: str) -> list[object]:
    """Return what a stage's bytes depend on, of an image that is read whole."""
    assert recipe.field is not None
    match stage:
        case "tissue":
            return [__version__, sha256, recipe.field.model_dump(mode="json", exclude=_OF_WINDOWS)]
        case "tile":
            return [recipe.field.model_dump(mode="json", include=_OF_WINDOWS), recipe.multiple]
        case "encode":
            return _encoder_parts(recipe)
        case _:
            return [recipe.model_sha256]


def _encoder_parts(recipe: Recipe) -> list[object]:
    encode = recipe.config.encode
    return [recipe.encoder_sha256, encode.precision, encode.backend, encode.fused]


_OF_WINDOWS = {"window", "overlap", "pad", "min_foreground"}


def export_key(book: Book, recipe: Recipe, folder: Path) -> str:
    """Return the key of the files for people: they depend on the result, not on how it was come by, and on what a
    person decided about the slide."""
    shown = sha256_bytes(render_result(book))
    decided = [decision.sha256 for decision in last_words(folder.parent.parent, book.slide)]
    return make_key(
        "export", STAGE_CODE["export"], book.upstream_key("export"), shown, recipe.config.export.model_dump(), *decided
    )


def _tissue_parts(bench: Bench) -> list[object]:
    config = bench.recipe.config.tissue
    found = config.model_dump(exclude={"polygons"})
    if config.polygons is None:
        return [found]
    return [found, sha256_file(bench.annotation) if bench.annotation else "none"]


def _scale_part(book: Book, config: ReadConfig, task: Task) -> object:
    """Return what the user said of the scale, where it counts: not for slides that say the same themselves."""
    info = book.stages["tissue"].facts.get("info", {}) if "tissue" in book.stages else {}
    if info.get("mpp_source") in ("metadata", "tiff-tags") and not config.mpp_override:
        found, row = Mpp(info["mpp_x"], info["mpp_y"], info["mpp_source"]), task.mpp_row
        if row is None or agrees_with_table(found, (row[0], row[1])):
            return None
    return [config.mpp, task.mpp_row, config.mpp_override]


def render_result(book: Book) -> bytes:
    """Return result.json of a slide."""
    return (json.dumps(describe(book).model_dump(), indent=1, ensure_ascii=False) + "\n").encode()


def publish_result(book: Book, folder: Path) -> str:
    """Publish result.json where it differs from what is there; return its sha256."""
    content = render_result(book)
    digest = sha256_bytes(content)
    if not is_intact(folder / RESULT, digest):
        publish(folder / RESULT, content)
    return digest


def close_book(book: Book, folder: Path) -> Record:
    """Publish result.json, remove files of ours that belong to no stage any more, and return the record."""
    digest = publish_result(book, folder)
    record = record_of(book)
    record = record.model_copy(update={"artifacts": {**record.artifacts, RESULT: digest}})
    remove_own(folder, book.path, keep={*record.artifacts, BOOK})
    return record


def export_again(folder: Path, recipe: Recipe, *, slide: str, relative: str) -> Record:
    """Redo the files for people from the result that lies in `folder`; the slide isn't opened.

    A slide of whose files one was changed or lost since is failed, and nothing is made from it.
    """
    with lock(folder):
        sweep(folder)
        book = read_book(folder, slide=slide, path=relative)
        bench = Bench("", slide, relative, folder, recipe, None, None, _silent)
        try:
            _check_files(book, bench)
            if "predict" in book.stages:
                book = _advance("export", export_key(book, recipe, folder), book, bench, "")
        except ArtifactError as error:
            failed = {"status": "failed", "code": error.code, "reason": str(error), "key": ""}
            return record_of(book).model_copy(update=failed)
        return close_book(book, folder)


def _check_files(book: Book, bench: Bench) -> None:
    """Raise ArtifactError when the book or a file that the export is made from isn't as it was written."""
    if not book.stages:
        raise ArtifactError(
            f"{bench.relative}: its {BOOK} is missing or was changed; run the slide again to make it anew"
        )
    for entry in book.before("export").values():
        for name, digest in entry.artifacts.items():
            if not is_intact(bench.folder / name, digest):
                raise ArtifactError(
                    f"{bench.relative}: its {name} is missing or was changed; run the slide again to make it anew"
                )


def _silent(stage: str, done: int, total: int) -> None:
    """Report to nobody."""

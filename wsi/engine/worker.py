"""The worker process: takes one slide after the other through its stages; networks stay loaded between them.

Run as `python -m wsi.engine.worker` by Child. It has a decoder process of its own.
"""

import contextlib
import logging
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from wsi.engine.bench import Encodes, Marks
from wsi.engine.book import read_book
from wsi.engine.child import Message, send, serve
from wsi.engine.clock import Clock
from wsi.engine.decoder import Decoder
from wsi.engine.describe import record_of
from wsi.engine.job import Task, run_job
from wsi.engine.recipe import Recipe
from wsi.errors import (
    ArtifactError,
    ChangedError,
    ChildError,
    EmptyBagError,
    LockedError,
    MemoryExceeded,
    ModelError,
    NoSpaceError,
    UsageError,
    WsiError,
)
from wsi.field import Field
from wsi.predict import Model
from wsi.printable import spelled_name, told_of
from wsi.publish import explained
from wsi.resources import hold_memory
from wsi.results import Record

_log = logging.getLogger(__name__)
REPORT_S = 0.2
"""Seconds between two reports of the same stage."""


class Networks:
    """The encoder and model of a recipe, loaded onto a device when a slide first needs them."""

    def __init__(self, recipe: Recipe, device: str) -> None:
        self._recipe, self._device = recipe, device

    @cached_property
    def _loading(self) -> Future[Encodes]:
        return ThreadPoolExecutor(1, "load").submit(self._load_encoder)

    def _load_encoder(self) -> Encodes:
        from wsi.encode.load import load_encoder

        config = self._recipe.config
        return load_encoder(
            self._recipe.encoder,
            weights=Path(config.encode.weights) if config.encode.weights else None,
            backend=config.encode.backend,
            device=self._device,
            precision=config.encode.precision,
            threads=config.engine.threads,
            batch_size=config.encode.batch_size,
            tile_px=self._recipe.tile_px,
            mpp=self._recipe.mpp or None,
            fused=config.encode.fused,
        )

    @cached_property
    def _model(self) -> Model:
        from wsi.predict.model import load_model

        return load_model(self._recipe.model)

    @cached_property
    def _marker(self) -> Marks:
        from wsi.predict.mask_model import load_mask_model

        config = self._recipe.config
        return load_mask_model(self._recipe.model, device=self._device, threads=config.engine.threads)

    @cached_property
    def _explained(self) -> Any:
        from wsi.predict.explain import load_explained

        return load_explained(self._recipe.model)

    def explain(self, prepared: Field) -> Field | None:
        """Return what in a picture speaks for the model's score, over its px after preprocessing; None: no way to tell."""
        from wsi.predict.explain import Asked, explain_prepared

        try:
            return explain_prepared(self._explained, prepared, Asked())
        except UsageError:
            return None

    def expect_encoder(self) -> None:
        _ = self._loading

    def encoder(self) -> Encodes:
        return self._loading.result()

    def marker(self) -> Marks:
        return self._marker

    def model(self) -> Model:
        return self._model


class Worker:
    """What stays between slides: a decoder process and the loaded networks."""

    def __init__(self) -> None:
        self._recipe: Recipe | None = None
        self._out = Path()
        self._decoder: Decoder | None = None
        self._networks: Networks | None = None

    def answer(self, pipe: Connection, message: Message, _blobs: list[bytes]) -> None:
        match message["do"]:
            case "start":
                self._recipe = Recipe.model_validate(message["recipe"])
                self._out = Path(message["out"])
                self._decoder = Decoder(self._recipe.config.engine)
                self._networks = Networks(self._recipe, message["device"])
            case "slide":
                clock = Clock()
                record = self._work(pipe, Task.model_validate(message["task"]), clock)
                send(pipe, {"record": record.model_dump(), "seconds": clock.seconds})

    def close(self) -> None:
        """Stop the decoder process."""
        if self._decoder is not None:
            self._decoder.stop()

    def _work(self, pipe: Connection, task: Task, clock: Clock) -> Record:
        """Return what became of the slide, whatever it was; only what stops the whole run is raised."""
        assert self._recipe
        assert self._decoder
        assert self._networks
        folder = self._out / "slides" / task.slide
        report = Reporter(pipe, task.slide)
        try:
            return run_job(
                task, folder, self._recipe, decoder=self._decoder, models=self._networks, report=report, clock=clock
            )
        except (NoSpaceError, ModelError, UsageError, LockedError):
            raise
        except (ChildError, ChangedError, ArtifactError, EmptyBagError) as error:
            return failure(task, folder, error)
        except OSError as error:
            if isinstance(full := explained(error, folder), NoSpaceError):
                raise full from error
            reason = f"{task.relative}: {error.strerror or error}"
            return failure(task, folder, ArtifactError(reason))
        except MemoryError as error:
            reason = f"{task.relative}: needs more memory than there is ({str(error) or 'none is left'})"
            return failure(task, folder, MemoryExceeded(f"{reason}; work on fewer slides at once with -j"))
        except Exception as error:  # noqa: BLE001  (the only broad one: this slide is lost, the run goes on)
            _log.exception("%s: a bug", task.slide)
            return failure(
                task, folder, WsiError(f"{task.relative}: {type(error).__name__}: {told_of(Path(task.path), error)}")
            )


def failure(task: Task, folder: Path, error: WsiError) -> Record:
    """Return the record of a slide on which this tool failed; the next run tries it again."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)  # a slide without a folder counts as taken out of the results
    done = record_of(read_book(folder, slide=task.slide, path=task.relative))
    told = spelled_name(str(error))
    reason = told if task.relative in told else f"{task.relative}: {told}"
    return done.model_copy(update={"status": "failed", "code": error.code, "reason": reason, "key": ""})


class Reporter:
    """Sends progress to the parent, not more often than a person can read."""

    def __init__(self, pipe: Connection, slide: str) -> None:
        self._pipe = pipe
        self._slide = slide
        self._last: tuple[str, float] = ("", 0.0)

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if (stage, done) != (self._last[0], total) and stage == self._last[0] and now - self._last[1] < REPORT_S:
            return
        self._last = (stage, now)
        send(self._pipe, {"slide": self._slide, "stage": stage, "done": done, "total": total})


if __name__ == "__main__":
    hold_memory()
    worker = Worker()
    serve(worker.answer)
    worker.close()
    os._exit(0)  # Python would spend a CPU second on taking torch down, piece by piece

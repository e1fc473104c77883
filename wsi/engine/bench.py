"""What the stages of one slide or image work with: its place, the decoder process, the networks and the clock."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wsi.card import MaskCard
from wsi.encode import EncoderIdentity
from wsi.engine.clock import WAITED, Clock
from wsi.engine.decoder import Decoder
from wsi.engine.field_facts import FieldFacts
from wsi.engine.recipe import Recipe
from wsi.engine.slide_info import SlideInfo
from wsi.field import Field
from wsi.geometry import Circle
from wsi.predict import Model
from wsi.tile import TilePlan
from wsi.tissue import find_annotation
from wsi.windows import Windows


class Encodes(Protocol):
    """What a stage needs of an encoder."""

    identity: EncoderIdentity

    @property
    def batch_size(self) -> int: ...
    @property
    def on_cpu(self) -> bool: ...
    def encode(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]: ...


class Marks(Protocol):
    """What a stage needs of a dense model."""

    @property
    def card(self) -> MaskCard: ...
    def mark(
        self,
        prepared: Field,
        original: Field,
        *,
        view: Circle | None = None,
        plan: Windows | None = None,
        beat: Callable[[], None] | None = None,
    ) -> NDArray[np.uint8]:
        """Return the structure of each sample of the image as it was read, `(*original.shape)`; 0 is none."""
        ...


class Models(Protocol):
    """The networks of this process, loaded when first asked for."""

    def expect_encoder(self) -> None:
        """Start to load the encoder, while this process has nothing else to do."""
        ...

    def encoder(self) -> Encodes: ...
    def model(self) -> Model: ...
    def marker(self) -> Marks: ...
    def explain(self, prepared: Field) -> Field | None:
        """Return what in a picture speaks for the model's score, over its px after preprocessing.

        None: the model's encoder has no maps to tell it from.
        """
        ...


@dataclass
class Bench:
    """All that the stages of one slide work with."""

    path: str
    slide: str
    relative: str
    folder: Path
    recipe: Recipe
    decoder: Decoder | None
    models: Models | None
    report: Callable[[str, int, int], None]
    mpp_row: list[float] | None = None
    clock: Clock = field(default_factory=Clock)
    files: tuple[str, ...] = ()
    """All files that make the slide or image up."""
    _opened: list[SlideInfo] = field(default_factory=list)
    _image: list[tuple[FieldFacts, bytes]] = field(default_factory=list)

    @cached_property
    def annotation(self) -> Path | None:
        """The polygons that a person drew for this slide, when the run has a folder of them."""
        polygons = self.recipe.config.tissue.polygons
        return find_annotation(Path(polygons), self.relative) if polygons else None

    def open(self) -> tuple[Decoder, SlideInfo]:
        """Open the slide in the decoder process, once."""
        assert self.decoder is not None, "this job may not touch the slide"
        if not self._opened:
            config = self.recipe.config.read
            self._opened.append(self.decoder.open(Path(self.path), self.relative, config, mpp_row=self.mpp_row))
        return self.decoder, self._opened[0]

    def image(self) -> tuple[FieldFacts, bytes]:
        """Return the facts and the thumbnail of an image that is read whole; it is read once."""
        assert self.decoder is not None, "this job may not touch the image"
        assert self.recipe.field is not None
        if not self._image:
            self._image.append(self.decoder.open_field(self.files, self.relative, self.recipe.field))
        return self._image[0]

    def samples(self) -> tuple[Field, NDArray[np.bool_] | None]:
        """Return the image as its network sees it, and where its foreground is; None: everywhere."""
        facts, _ = self.image()
        assert self.decoder is not None
        return self.decoder.samples(facts.prepared)

    def tiles(
        self, plan: TilePlan, coords: NDArray[np.int32], *, batch: int, threads: int = 1
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
        """Yield tiles `(B, tile_px, tile_px, 3)` and which of them are readable `(B,)`, in order."""
        from wsi.encode.resample import resample  # loads torch, which the parent has no use for

        decoder, _ = self.open()
        found = decoder.tiles(coords, footprint=plan.footprint, tile_px=plan.tile_px, batch=batch, threads=threads)
        for read in self.clock.waiting(WAITED, found):
            with self.clock.time("encode: resampling"):
                tiles = resample(read.px, scale=read.window.scale, tile_px=plan.tile_px) if read.window else read.px
            yield tiles, ~read.bad

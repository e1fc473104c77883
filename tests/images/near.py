"""A whole run without processes of its own, for tests that ask what is made of its files."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from wsi.card_image import AcceptsField
from wsi.config import Config
from wsi.engine import journal
from wsi.engine.decoder import Decoder
from wsi.engine.field_desk import Prepared, prepare
from wsi.engine.field_facts import FieldFacts, Grid
from wsi.engine.finish import finish
from wsi.engine.job import run_job
from wsi.engine.recipe import settle_recipe
from wsi.engine.run import open_out, task_of
from wsi.engine.worker import Networks
from wsi.field import Field
from wsi.read import SlideFile, find_slides


class NearDecoder:
    """What the decoder process answers, asked in this one."""

    _image: Prepared

    def open_field(self, files: Sequence[str], relative: str, accepts: AcceptsField) -> tuple[FieldFacts, bytes]:
        self._image = prepare([Path(file) for file in files], accepts, relative)
        return self._image.facts, self._image.thumbnail

    def samples(self, grid: Grid) -> tuple[Field, NDArray[np.bool_] | None]:
        return self._image.field, self._image.foreground


def run_near(folder: Path, out: Path, model: Path) -> Path:
    """Bring all images of a folder to their files for people, as `wsi-run FOLDER -o OUT -m MODEL` does; return OUT."""
    recipe = settle_recipe(Config(model=str(model)), "export")
    decoder, networks = cast("Decoder", NearDecoder()), Networks(recipe, "cpu")
    found = find_slides(folder)
    open_out(out)
    for image in found:
        assert isinstance(image, SlideFile)
        task = task_of(image, None)
        record = run_job(
            task, out / "slides" / image.id, recipe, decoder=decoder, models=networks, report=lambda *_: None
        )
        journal.append(out, record)
    finish(out, recipe, found)
    return out

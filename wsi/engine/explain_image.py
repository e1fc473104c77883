"""One picture explained by the method of one's choice, as a picture to look at and as numbers."""

import io
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from wsi.engine.field_desk import prepare
from wsi.engine.field_stages import on_thumbnail
from wsi.engine.recipe import Recipe
from wsi.errors import UsageError
from wsi.export.heat_overlay import heat_png
from wsi.publish import publish
from wsi.read.find import safe_name


def explain_image(
    path: Path, out: Path, recipe: Recipe, *, method: str | None = None, head: str = "", to: str | None = None
) -> tuple[list[Path], str]:
    """Publish NAME.METHOD.png and NAME.METHOD.tiff in `out`; return their paths and what heat above 0 speaks for.

    The PNG is the picture at thumbnail size with the heat on it, the TIFF the heat over the picture's own px, float32,
    NaN outside of a round field of view.

    Args:
        method, head, to: as `wsi.predict.explain.explain`; None: its own choice.

    Raises:
        SlideError: the file can't be read, or isn't what the model eats.
        UsageError, ModelError: as `explain`.
    """
    from wsi.predict.explain import DEFAULT, check_asked, explain_prepared, load_explained

    if recipe.field is None:
        raise UsageError(f"model {recipe.model_id}: reads slides, whose tiles a run scores one by one")
    model = load_explained(recipe.model)
    asked = check_asked(model, method=method or DEFAULT, head=head, to=to)
    image = prepare([path], recipe.field, path.name)
    heat = explain_prepared(model, image.field, asked)
    with Image.open(io.BytesIO(image.thumbnail)) as thumbnail:
        below = np.asarray(thumbnail.convert("RGB"))
    means = to or model.heads[head][0].speaks_for
    stem = f"{safe_name(path.name)}.{asked.method}"
    picture = heat_png(below, on_thumbnail(heat, image.facts, below.shape[:2]), means=means)
    rows, columns = image.facts.read.shape
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, on_thumbnail(heat, image.facts, (rows, columns)), compression="zlib")
    made = {out / f"{stem}.png": picture, out / f"{stem}.tiff": buffer.getvalue()}
    for file, content in made.items():
        publish(file, content)
    return list(made), means

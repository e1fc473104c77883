"""Objects of a graded picture: what was looked at, with the verdict, and where its explanation is strong."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from tests.export.cases import make_result
from wsi import card_image
from wsi.card_image import Foreground
from wsi.export.explained_regions import FROM, MOST
from wsi.export.image_geojson import write_image_geojson
from wsi.results import ImageFacts
from wsi.results.mask import Mask, amounts

HEIGHT, WIDTH = 60, 80
SCALE = 10
"""The picture is so many times its explanation."""


def explanation() -> NDArray[np.uint8]:
    """Return a round view that speaks for in a square, weakly for in another, and against in a third."""
    found = np.full((HEIGHT, WIDTH), 128, np.uint8)
    found[10:20, 20:30], found[30:40, 20:30], found[10:20, 50:55] = 255, 180, 1
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    found[np.hypot(rows - 29.5, columns - 39.5) > 29] = 0
    return found


def objects(path: Path, given: NDArray[np.uint8] | None) -> list[dict[str, Any]]:
    image = ImageFacts(
        format="PNG",
        axes=["y", "x"],
        shape=[HEIGHT * SCALE, WIDTH * SCALE],
        unit="px",
        steps=[1.0, 1.0],
        channels=["R", "G", "B"],
        explained="" if given is None else "Malignant",
    )
    result = make_result(None, image=image)
    write_image_geojson(path / "x.geojson.gz", result, None, None, explanation=given)
    told = json.loads(gzip.decompress((path / "x.geojson.gz").read_bytes()))
    return list(told["features"])


def shape(feature: dict[str, Any]) -> shapely.Polygon | shapely.MultiPolygon:
    found = shapely.from_geojson(json.dumps(feature["geometry"]))
    assert isinstance(found, shapely.Polygon | shapely.MultiPolygon)
    assert found.is_valid
    return found


def test_field_of_view_carries_the_verdict_and_no_class_of_it(tmp_path: Path) -> None:
    seen = objects(tmp_path, explanation())[0]
    assert seen["properties"]["classification"]["name"] == "Field of view"
    assert seen["properties"]["measurements"] == {"P(Benign)": 0.07, "P(Malignant)": 0.93}
    assert "Malignant" in seen["properties"]["metadata"]["verdict"]
    assert shape(seen).area == pytest.approx(np.pi * (29 * SCALE) ** 2, rel=0.02)


def test_strong_places_are_outlined_in_the_pictures_px_by_the_side_they_speak_for(tmp_path: Path) -> None:
    found = {one["properties"]["name"]: one for one in objects(tmp_path, explanation())[1:]}
    spoke, against = (
        f"Explanation {n}: spoke {side} Malignant - research use only" for n, side in ((1, "for"), (2, "against"))
    )
    assert list(found) == [spoke, against], "the weak square is below the threshold"
    assert shape(found[spoke]).equals(shapely.box(200, 100, 300, 200))
    assert shape(found[against]).equals(shapely.box(500, 100, 550, 200))
    told = found[spoke]["properties"]
    assert told["classification"]["name"] == "Explanation - for"
    assert told["measurements"] == {"Mean share of the strongest": 1.0, "Outlined from": FROM, "Area px^2": 10_000.0}


def test_nothing_is_of_the_class_that_was_graded(tmp_path: Path) -> None:
    classes = {one["properties"]["classification"]["name"] for one in objects(tmp_path, explanation())}
    assert classes == {"Field of view", "Explanation - for", "Explanation - against"}


def test_picture_without_explanation_is_outlined_whole(tmp_path: Path) -> None:
    (only,) = objects(tmp_path, None)
    assert only["properties"]["classification"]["name"] == "Picture"
    assert shape(only).equals(shapely.box(0, 0, WIDTH * SCALE, HEIGHT * SCALE))


def test_of_many_places_the_small_ones_share_an_object(tmp_path: Path) -> None:
    spots = np.full((HEIGHT, WIDTH), 128, np.uint8)
    spots[2::4, 2::4] = 255
    spots[30:40, 30:40] = 255
    told = objects(tmp_path, spots)[1:]
    assert len(told) == MOST
    assert shape(told[0]).area == max(shape(one).area for one in told[:-1])
    assert sum(shape(one).area for one in told) == (spots == 255).sum() * SCALE**2


@pytest.mark.parametrize(("spacing", "amount", "unit"), [((0.5, 0.2), 60.0, "mm2"), (None, 600.0, "px")])
def test_area_of_a_picture_is_in_mm2_where_its_file_tells_the_spacing_and_else_in_px(
    spacing: tuple[float, float] | None, amount: float, unit: str
) -> None:
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[:30, :20] = 1
    lung = card_image.Structure(name="lung", color=(200, 0, 0), unit="mm2")
    mask = Mask(labels, np.eye(3), (1.0, 1.0), ("y", "x"), "px")
    (found,) = amounts(mask, [lung], foreground=1.0, spacing=spacing)
    assert found.amount == pytest.approx(amount)
    assert str(found.unit) == unit


@pytest.mark.parametrize(("where", "told"), [("all", "image"), ("field-of-view", "field of view"), ("body", "body")])
def test_share_is_named_after_what_it_is_a_share_of(where: Foreground, told: str, tmp_path: Path) -> None:
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[:30, :20] = 1  # an eighth of the picture, a quarter of its half
    mask = Mask(labels, np.eye(3), (1.0, 1.0), ("y", "x"), "px")
    vessel = card_image.Structure(name="vessel", color=(200, 0, 0), unit="share")
    found = amounts(mask, [vessel], foreground=0.5, where=where)
    image = ImageFacts(format="png", axes=["y", "x"], shape=[HEIGHT, WIDTH], unit="px", steps=[1, 1], channels=["gray"])
    result = make_result(None, image=image).model_copy(update={"structures": found})
    write_image_geojson(tmp_path / "x.geojson.gz", result, None, labels)
    (only,) = json.loads(gzip.decompress((tmp_path / "x.geojson.gz").read_bytes()))["features"]
    assert only["properties"]["measurements"] == {"Area px^2": 600.0, f"Amount (of the {told})": 0.25}

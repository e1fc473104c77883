"""Pictures and volumes that were read whole, on the page: their px, what speaks for the verdict, what was marked."""

import base64
import gzip
import io
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, expect
from starlette.testclient import TestClient

from tests.images.command import run
from tests.images.near import run_near
from tests.images.tiny_models import dense, graded, photograph, scan
from tests.review import serving
from tests.review.browser import at_rest, browser, chromium, open_page, picture
from tests.review.cohort import PORT, SQUARE, TOKEN, decide, drawn, open_folder
from wsi.engine.viewing import Viewing
from wsi.export import overlay
from wsi.export.explanation import write_explanation
from wsi.review import Desk, desk, make_app, slide_places, write_static

CHROMIUM = chromium()
WIDTH, HEIGHT = 128, 96
JPEG = 16
"""Gray levels that JPEG may be off by: its colors are stored at half the size, so they blend over an edge."""
SPEAKS_FOR, SPEAKS_AGAINST = slice(0, 64), slice(64, 128)


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A run, its slides by path, and a browser at its page."""

    out: Path
    client: TestClient
    viewing: Viewing

    def case(self, path: str) -> dict[str, object]:
        found: dict[str, object] = self.client.get(f"/api/cases/{self.slide(path)}").json()
        return found

    def slide(self, path: str) -> str:
        rows = self.client.get("/api/cases").json()["cases"]
        return str(next(row["slide"] for row in rows if row["name"] == path))

    def get(self, path: str, rest: str) -> bytes:
        answer = self.client.get(f"/api/cases/{self.slide(path)}/{rest}")
        assert answer.status_code == 200, answer.text
        return answer.content

    def px(self, path: str) -> NDArray[np.uint8]:
        with Image.open(io.BytesIO(self.get(path, "tiles/0/0/0"))) as image:
            return np.asarray(image)


def reviewed(out: Path, **given: object) -> Reviewed:
    folder = open_folder(out)
    viewing = Viewing(slide_places(out, folder.records()), is_picture=folder.is_picture, workers=1)
    app = make_app(folder, viewing, token=TOKEN, port=PORT, **given)  # type: ignore[arg-type]
    client = TestClient(app, base_url=f"http://127.0.0.1:{PORT}")
    client.get(f"/?token={TOKEN}")
    return Reviewed(out, client, viewing)


def explain(out: Path) -> None:
    """Say of each picture that its left half speaks for the verdict and its right half against it."""
    heat = np.ones((HEIGHT, WIDTH), np.float32)
    heat[:, SPEAKS_AGAINST] = -1
    for path in out.glob("slides/*/scores.h5"):
        write_explanation(path.parent, heat, means="bright")


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photographs, one of them stored lying on its side as cameras do; a gray one; a volume."""
    folder = tmp_path_factory.mktemp("drawings")
    photograph(folder / "pictures" / "light.png", level=250)
    lying = Image.open(photograph(folder / "upright.png", level=200)).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[274] = 6
    lying.save(folder / "pictures" / "turned.png", exif=exif)
    photograph(folder / "gray" / "gray.png", level=200, gray=True)
    scan(folder / "scans" / "scan.nii.gz")
    return folder


@pytest.fixture(scope="module")
def outs(drawings: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("home")
    models = {
        "pictures": graded(home / "bright"),
        "gray": dense(home / "spots", axes=2, channels=["gray"], preprocess=[{"op": "scale@1", "factor": 1 / 255}]),
        "scans": dense(home / "boxes", axes=3),
    }
    return {name: run_near(drawings / name, home / f"OUT-{name}", model) for name, model in models.items()}


@pytest.fixture(scope="module")
def halves(outs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of photographs, with an explanation of halves in place of the model's."""
    out = Path(shutil.copytree(outs["pictures"], tmp_path_factory.mktemp("halves") / "OUT"))
    explain(out)
    return out


@pytest.fixture(scope="module")
def pictures(halves: Path) -> Iterator[Reviewed]:
    found = reviewed(halves)
    yield found
    found.viewing.close()


@pytest.fixture(scope="module")
def gray(outs: dict[str, Path]) -> Iterator[Reviewed]:
    found = reviewed(outs["gray"])
    yield found
    found.viewing.close()


def test_picture_is_shown_in_its_own_px(pictures: Reviewed, drawings: Path) -> None:
    view = pictures.case("light.png")["view"]
    assert isinstance(view, dict)
    assert (view["width"], view["height"], view["mpp"]) == (WIDTH, HEIGHT, None)
    with Image.open(drawings / "pictures" / "light.png") as stored:
        np.testing.assert_allclose(pictures.px("light.png").astype(int), np.asarray(stored).astype(int), atol=JPEG)


def test_picture_stored_on_its_side_is_shown_upright_as_the_model_read_it(pictures: Reviewed, drawings: Path) -> None:
    with Image.open(drawings / "upright.png") as upright:
        expected = np.asarray(upright).astype(int)
    np.testing.assert_allclose(pictures.px("turned.png").astype(int), expected, atol=JPEG)


def test_gray_picture_is_shown(gray: Reviewed, drawings: Path) -> None:
    with Image.open(drawings / "gray" / "gray.png") as stored:
        expected = np.asarray(stored.convert("RGB")).astype(int)
    np.testing.assert_allclose(gray.px("gray.png").astype(int), expected, atol=JPEG)


def test_explanation_is_one_layer_over_the_whole_picture_and_no_score(pictures: Reviewed) -> None:
    heat = pictures.case("light.png")["heat"]
    assert isinstance(heat, dict)
    assert [(one["kind"], one["low"], one["high"], one["subject"]) for one in heat["layers"]] == [
        ("explanation", -1.0, 1.0, "bright")
    ]
    assert (heat["x0"], heat["y0"]) == (0, 0)
    assert (heat["columns"] * heat["step_x"], heat["rows"] * heat["step_y"]) == (WIDTH, HEIGHT)
    values = np.frombuffer(pictures.get("light.png", "heat/explanation"), np.uint8).reshape(HEIGHT, WIDTH)
    assert set(values[:, SPEAKS_FOR].ravel()) == {255}
    assert set(values[:, SPEAKS_AGAINST].ravel()) == {1}


def test_slides_layers_are_not_a_pictures(pictures: Reviewed) -> None:
    assert pictures.client.get(f"/api/cases/{pictures.slide('light.png')}/heat/score").status_code == 404


def test_second_verdict_comes_with_its_probabilities_and_colors(pictures: Reviewed) -> None:
    ai = pictures.case("light.png")["ai"]
    assert isinstance(ai, dict)
    (light,) = ai["also"]
    assert (light["title"], light["label"], light["colors"]["bright"]) == ("Light", "bright", [250, 200, 0])
    assert light["probabilities"]["bright"] == ai["probabilities"]["bright"]


def marked(out: Path) -> NDArray[np.bool_]:
    """Return the px that mask.png, which other programs read, has as marked."""
    (path,) = out.glob("slides/*/mask.png")
    with Image.open(path) as image:
        return np.asarray(np.asarray(image) == 1, np.bool_)


def test_marked_structure_is_outlined_as_in_the_mask_in_its_color_with_its_amount(gray: Reviewed) -> None:
    mask = marked(gray.out)
    (feature,) = json.loads(gray.get("gray.png", "outlines"))["features"]
    assert feature["properties"]["kind"] == "structure"
    assert feature["properties"]["color"] == [220, 30, 30]
    assert feature["properties"]["amount"] == f"{mask.sum()} px"
    assert shapely.from_geojson(json.dumps(feature["geometry"])).area == mask.sum()
    rows, columns = np.nonzero(mask)
    place = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert shapely.from_geojson(json.dumps(feature["geometry"])).bounds == place
    case = gray.case("gray.png")
    assert case["outlines"] is True
    assert isinstance(case["ai"], dict)
    told = {"name": "box", "color": [220, 30, 30], "meaning": "Box", "told": f"{mask.sum()} px"}
    assert case["ai"]["structures"] == [told]


def test_blind_review_hides_what_was_marked_and_what_speaks(outs: dict[str, Path]) -> None:
    for name, path in (("gray", "gray.png"), ("pictures", "light.png")):
        found = reviewed(outs[name], blind=True, reviewer="A. Miller")
        told = found.case(path)
        assert (told["ai"], told["heat"], told["outlines"]) == (None, None, False)
        assert json.loads(found.get(path, "outlines"))["features"] == []
        assert found.client.get(f"/api/cases/{found.slide(path)}/heat/explanation").status_code == 403
        found.viewing.close()


def test_volume_shows_its_slices_and_amounts_and_says_where_to_look(outs: dict[str, Path]) -> None:
    found = reviewed(outs["scans"])
    told = found.case("scan.nii.gz")
    assert isinstance(told["view"], dict)
    assert told["view"]["levels"] == []
    assert "a viewer of volumes" in str(told["view_problem"])
    assert isinstance(told["ai"], dict)
    assert [(one["name"], one["told"]) for one in told["ai"]["structures"]] == [("box", "2.16 ml")]
    assert told["viewable"] is False
    answer = found.client.get(f"/api/cases/{found.slide('scan.nii.gz')}/tiles/0/0/0")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "E_VOLUME")
    with Image.open(io.BytesIO(found.get("scan.nii.gz", "overlay"))) as slices:
        assert (told["overlay"], slices.format) == (True, "PNG")
        assert (told["view"]["width"], told["view"]["height"]) == slices.size
    found.viewing.close()


def test_blind_review_shows_a_volumes_slices_without_what_was_marked(outs: dict[str, Path]) -> None:
    found = reviewed(outs["scans"], blind=True, reviewer="A. Miller")
    told = found.case("scan.nii.gz")
    assert isinstance(told["view"], dict)
    with Image.open(io.BytesIO(found.get("scan.nii.gz", "thumbnail"))) as plain:
        assert (told["overlay"], told["view"]["width"]) == (False, plain.width)
    assert found.client.get(f"/api/cases/{found.slide('scan.nii.gz')}/overlay").status_code == 403
    found.viewing.close()


def test_overlay_is_called_as_the_run_calls_it() -> None:
    assert desk.OVERLAY == overlay.NAME


def test_slide_or_picture_has_no_slices_to_show(pictures: Reviewed) -> None:
    assert pictures.case("light.png")["overlay"] is False
    assert pictures.client.get(f"/api/cases/{pictures.slide('light.png')}/overlay").status_code == 404


def test_damaged_mask_and_explanation_are_told(outs: dict[str, Path], tmp_path: Path) -> None:
    for name, path, file in (("gray", "gray.png", "mask.h5"), ("pictures", "light.png", "explanation.png")):
        found = reviewed(Path(shutil.copytree(outs[name], tmp_path / name)))
        (found.out / "slides" / found.slide(path) / file).write_bytes(b"no")
        answer = found.client.get(
            f"/api/cases/{found.slide(path)}/{'outlines' if name == 'gray' else 'heat/explanation'}"
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "E_ARTIFACT")
        assert found.client.get(f"/api/cases/{found.slide(path)}").status_code in (200, 409)
        found.viewing.close()


def test_shapes_on_a_picture_are_held_to_its_px_and_reach_qupath(outs: dict[str, Path], tmp_path: Path) -> None:
    out = Path(shutil.copytree(outs["pictures"], tmp_path / "OUT"))
    found = reviewed(out)
    slide = found.slide("light.png")
    assert decide(found.client, slide, shapes=drawn(SQUARE)).status_code == 422
    shapes = drawn([(10, 10), (50, 10), (50, 40), (10, 40), (10, 10)], name="opacity")
    assert decide(found.client, slide, shapes=shapes).status_code == 201
    assert run("export", out)[0] == 0
    features = json.loads(gzip.decompress((out / "slides" / slide / "light.geojson.gz").read_bytes()))["features"]
    assert [one["properties"]["name"] for one in features if "Drawn" in one["properties"].get("name", "")] == [
        "Drawn 1: opacity"
    ]
    found.viewing.close()


def test_static_folder_holds_the_pictures_with_their_explanation(pictures: Reviewed, tmp_path: Path) -> None:
    folder = open_folder(pictures.out)
    made = write_static(Desk(folder, pictures.viewing), tmp_path / "static")
    assert (made.cases, made.unreadable) == (2, 0)
    text = (tmp_path / "static" / "data" / pictures.slide("light.png") / "case.js").read_text()
    told = json.loads(re.sub(r"^[^=]+=|;\s*$", "", text))
    assert len(base64.b64decode(told["heat"]["explanation"])) == WIDTH * HEIGHT


@pytest.fixture(scope="module")
def seen(outs: dict[str, Path], halves: Path) -> Iterator[dict[str, Page]]:
    """The pages of the three runs in one browser."""
    assert CHROMIUM is not None
    with ExitStack() as stack:
        window = stack.enter_context(browser(CHROMIUM))
        pages = {}
        for name, out in {**outs, "pictures": halves}.items():
            page, complaints = open_page(window)
            page.goto(stack.enter_context(serving.reviewed(out)))
            expect(page.locator("#case-title")).to_be_visible()
            at_rest(page)
            pages[name] = page
            assert complaints == []
        yield pages


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; WSI_CHROMIUM may name one")
def test_page_shows_what_speaks_for_and_against_as_explanation(seen: dict[str, Page]) -> None:
    page = seen["pictures"]
    expect(page.locator("#heatbar .note")).to_contain_text("an explanation, not a probability")
    expect(page.locator("#heatbar .scale")).to_contain_text("against")
    expect(page.locator(".also")).to_contain_text("Light:")
    at_rest(page)
    left, right = picture(page, "lines", 30, 50), picture(page, "lines", 100, 50)
    assert left[0] > left[2], "yellow speaks for it"
    assert right[2] > right[0], "blue against"


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; WSI_CHROMIUM may name one")
def test_page_shows_what_was_marked_in_its_color_with_its_amount(seen: dict[str, Page], outs: dict[str, Path]) -> None:
    page, mask = seen["gray"], marked(outs["gray"])
    expect(page.locator(".structures")).to_contain_text(f"{mask.sum()} px")
    y, x = (int(place) for place in np.argwhere(mask)[mask.sum() // 2])
    red, green, blue, alpha = picture(page, "lines", x + 0.5, y + 0.5)
    assert alpha > 60 and red > 180 and green < 90 and blue < 90  # noqa: PT018
    assert picture(page, "lines", 5, 50)[3] == 0
    page.keyboard.press("o")
    at_rest(page)
    assert picture(page, "lines", x + 0.5, y + 0.5)[3] == 0


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; WSI_CHROMIUM may name one")
def test_page_says_that_a_volume_is_looked_at_elsewhere_and_draws_nothing_on_it(seen: dict[str, Page]) -> None:
    page = seen["scans"]
    expect(page.locator(".trouble")).to_contain_text("in a viewer of volumes")
    expect(page.locator(".overview img")).to_have_attribute("src", re.compile("/overlay$"))
    expect(page.locator(".structures")).to_contain_text("2.16 ml")
    page.keyboard.press("d")
    expect(page.locator("#messages")).to_contain_text("Nothing can be drawn")

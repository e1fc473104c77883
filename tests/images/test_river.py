"""Pictures and volumes through the command itself: what each model takes, says, writes and refuses."""

import gzip
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

from tests.images.command import Ran, run
from tests.images.near import run_near
from tests.images.tiny_models import SIDE, dense, graded, photograph, scan
from tests.make import draw_tissue, write_svs


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide, two photographs, a gray picture, a volume and a damaged picture."""
    folder = tmp_path_factory.mktemp("mixed")
    write_svs(folder / "slide.svs", draw_tissue(1200, 900, seed=1), levels=2)
    photograph(folder / "light.png", level=250)
    photograph(folder / "dim.png", level=60)
    photograph(folder / "gray.png", level=200, gray=True)
    scan(folder / "scan.nii.gz")
    (folder / "broken.png").write_bytes((folder / "light.png").read_bytes()[:60])
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    graded(folder / "bright", preprocess=HALVED, window=[SIDE, SIDE])
    dense(folder / "spots", axes=2, channels=["gray"], preprocess=[{"op": "scale@1", "factor": 0.00392156862745098}])
    dense(folder / "boxes", axes=3)
    return folder


@pytest.fixture(scope="module")
def ran(mixed: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    """Each model over the mixed folder: by the command, and one of them without processes of its own, which is quicker."""
    found = {"spots": Ran(3, "", run_near(mixed, tmp_path_factory.mktemp("spots") / "OUT", models / "spots"))}
    for name in ("bright", "boxes"):
        out = tmp_path_factory.mktemp(name) / "OUT"
        status, told = run(mixed, "-o", out, "-m", models / name, "-q")
        found[name] = Ran(status, told, out)
    return found


HALVED = [{"op": "resize@1", "px": [48, 64], "side": "exact"}]
TAKES = {"bright": {"light.png", "dim.png"}, "spots": {"gray.png"}, "boxes": {"scan.nii.gz"}}


@pytest.mark.parametrize("name", TAKES)
def test_each_model_takes_its_own_kind_and_refuses_the_rest_with_the_reason(name: str, ran: dict[str, Ran]) -> None:
    one = ran[name]
    assert one.status == 3, one.told
    records = one.records
    assert {path for path, record in records.items() if record["status"] == "ok"} == TAKES[name]
    others = {path: record for path, record in records.items() if path not in TAKES[name]}
    assert {record["status"] for record in others.values()} == {"refused"}
    codes = {path: record["code"] for path, record in others.items()}
    assert codes.pop("broken.png") == "E_UNREADABLE"
    assert set(codes.values()) == {"E_MODALITY"}, codes
    assert all(path in record["reason"] for path, record in others.items())


def test_model_of_slides_refuses_other_images_with_the_reason(mixed: Path, tmp_path: Path) -> None:
    out = tmp_path / "OUT"
    status, told = run("tissue", mixed, "-o", out, "-q")
    one = Ran(status, told, out)
    assert status == 3
    assert [path for path, record in one.records.items() if record["status"] == "ok"] == ["slide.svs"]
    assert one.records["scan.nii.gz"]["code"] == "E_MODALITY"
    assert "choose a model of volumes" in one.records["scan.nii.gz"]["reason"]
    assert all(record["code"] for path, record in one.records.items() if path != "slide.svs")


def test_grade_follows_the_brightness(ran: dict[str, Ran]) -> None:
    rows = ran["bright"].rows
    assert (rows["light.png"]["label"], rows["dim.png"]["label"]) == ("bright", "dark")


def test_second_head_says_the_same_of_the_same_weights(ran: dict[str, Ran]) -> None:
    result = json.loads((ran["bright"].folder("light.png") / "result.json").read_text())
    (light,) = result["also"]
    assert (light["title"], light["grade"]) == ("Light", "bright")
    assert light["classes"][1]["probability"] == result["classes"][1]["probability"]


def test_box_of_a_volume_is_marked_where_it_lies(mixed: Path, ran: dict[str, Ran]) -> None:
    """8 x 10 x 6 samples of 1.5 x 1.5 x 2 mm are 2.16 ml."""
    one = ran["boxes"]
    image = nibabel.Nifti1Image.from_filename(mixed / "scan.nii.gz")
    marked = nibabel.Nifti1Image.from_filename(one.folder("scan.nii.gz") / "mask.nii.gz")
    np.testing.assert_allclose(marked.affine, image.affine, atol=1e-6)
    assert np.array_equal(np.asarray(marked.dataobj) == 1, np.asarray(image.dataobj) > 50)
    result = json.loads((one.folder("scan.nii.gz") / "result.json").read_text())
    assert result["structures"][0]["amount"] == pytest.approx(2.16)
    assert result["image"]["steps"] == [1.5, 1.5, 2.0]


def test_marks_of_a_picture_are_in_its_own_px(mixed: Path, ran: dict[str, Ran]) -> None:
    folder = ran["spots"].folder("gray.png")
    with Image.open(folder / "mask.png") as file:
        labels = np.asarray(file)
    with Image.open(mixed / "gray.png") as file:
        assert labels.shape == (file.height, file.width)
    told = json.loads(gzip.decompress((folder / "gray.geojson.gz").read_bytes()))
    (feature,) = told["features"]
    assert feature["properties"]["objectType"] == "annotation"
    assert feature["properties"]["measurements"]["Area px^2"] == int((labels == 1).sum())
    assert told["wsi_run"]["origin_px0"] == [0, 0]


def test_amount_beyond_the_tested_ones_is_told_as_they_are(tmp_path: Path) -> None:
    light = np.zeros((40, 50), np.uint8)
    light[10:20, 10:30] = 200
    (tmp_path / "images").mkdir()
    Image.fromarray(light).save(tmp_path / "images" / "one.png")
    model = dense(tmp_path / "spots", axes=2, channels=["gray"])
    card = yaml.safe_load((model / "model.yaml").read_text())
    card["structures"][0] |= {"unit": "share", "usual": [0.2, 0.55]}
    (model / "model.yaml").write_text(yaml.safe_dump(card, sort_keys=False))
    ran = Ran(0, "", run_near(tmp_path / "images", tmp_path / "OUT", model))
    result = json.loads((ran.folder("one.png") / "result.json").read_text())
    assert result["refer_reason"] == "box is 10.0%, but the model was tested on 20.0% to 55.0%"


def test_bits_along_the_edge_of_a_round_view_are_not_marked(tmp_path: Path) -> None:
    """A bright bar inside of the circle is marked, one along its edge isn't: the run knows where the circle lies."""
    y, x = np.indices((150, 150)) - 74.5
    light = np.where(np.hypot(y, x) < 65, 60, 0)
    light[(np.hypot(y, x) > 62) & (np.hypot(y, x) < 65) & (x < -55)] = 200
    light[60:90, 70:76] = 200
    images = tmp_path / "images"
    images.mkdir()
    Image.fromarray(light.astype(np.uint8)).save(images / "round.png")
    bright = [{"op": "window@1", "low": 100.0, "high": 200.0}]
    marked = []
    for name, then in (("whole", []), ("inside", [{"op": "inside-round-view@1", "margin": 0.1}])):
        model = dense(
            tmp_path / name, axes=2, then=then, channels=["gray"], preprocess=bright, window=[160, 160], pad=0.0
        )
        ran = Ran(0, "", run_near(images, tmp_path / f"{name} OUT", model))
        with Image.open(ran.folder("round.png") / "mask.png") as file:
            marked.append(np.asarray(file) == 1)
    assert np.array_equal(marked[0], light == 200)
    light[:, :60] = 0
    assert np.array_equal(marked[1], light == 200)


def objects(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.glob("*.geojson.gz")
    return list(json.loads(gzip.decompress(path.read_bytes()))["features"])


def test_windows_of_a_picture_are_tiles_in_its_own_px(ran: dict[str, Ran]) -> None:
    """Halved to 64 x 48 px and cut into 2 x 2 windows of 32: each covers 64 px of the picture."""
    found = objects(ran["bright"].folder("light.png"))
    tiles = [one["geometry"]["coordinates"][0] for one in found if one["properties"]["objectType"] == "tile"]
    assert sorted(tuple(corners[0]) for corners in tiles) == [(0, 0), (0, 32), (64, 0), (64, 32)]
    assert {tuple(np.ptp(corners, axis=0)) for corners in tiles} == {(64.0, 64.0)}


def test_what_spoke_for_brightness_lies_on_the_brighter_half(ran: dict[str, Ran]) -> None:
    folder = ran["bright"].folder("light.png")
    with Image.open(folder / "explanation.png") as file:
        heat = np.asarray(file).astype(int) - 128
    assert heat.shape == (96, 128)
    assert heat[:, 64:].mean() > 1.5 * heat[:, :32].mean() > 0
    assert json.loads((folder / "result.json").read_text())["image"]["explained"] == "bright"
    whole, first = objects(folder)[:2]
    assert whole["properties"]["classification"]["name"] == "Picture"
    assert whole["properties"]["measurements"].keys() >= {"P(dark)", "P(bright)", "Light - P(bright)"}
    assert first["properties"]["name"] == "Explanation 1: spoke for bright - research use only"
    assert first["properties"]["classification"]["name"] == "Explanation - for"


def test_one_picture_is_explained_by_a_method_of_choice(mixed: Path, models: Path, tmp_path: Path) -> None:
    model, picture = models / "bright", mixed / "light.png"
    status, told = run("explain", picture, "-m", model, "-o", tmp_path, "--method", "occlusion", "--head", "light")
    assert status == 0, told
    assert "Yellow speaks for bright" in told
    heat = tifffile.imread(tmp_path / "light.occlusion.tiff")
    assert heat.shape == (96, 128)
    assert heat.dtype == np.float32
    assert heat[:, 44:64].max() == heat.max() > 0, "beside the edge, where there is something to cover"
    with Image.open(tmp_path / "light.occlusion.png") as file:
        assert "speaks for bright" in file.info["Comment"]
    assert run("explain", mixed / "gray.png", "-m", model, "-o", tmp_path)[0] == 3
    for wrong in (["--method", "occlude"], ["--to", "brigt"], ["--head", "no"]):
        assert run("explain", picture, "-m", model, "-o", tmp_path, *wrong)[0] == 2, wrong


@pytest.mark.parametrize("name", ["bright", "boxes"])
def test_run_again_redoes_nothing_and_export_gives_the_same_bytes(
    name: str, mixed: Path, models: Path, ran: dict[str, Ran]
) -> None:
    out = ran[name].out
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert run(mixed, "-o", out, "-m", models / name, "-q")[0] == 3
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before
    (path,) = TAKES[name] - {"dim.png"}
    written = digests(ran[name].folder(path))
    run("export", out)
    assert digests(ran[name].folder(path)) == written
    assert run("verify", out)[0] == 0


def test_table_tells_structures_and_second_verdicts(ran: dict[str, Ran]) -> None:
    assert float(ran["boxes"].rows["scan.nii.gz"]["box (ml)"]) == pytest.approx(2.16)
    assert ran["bright"].rows["dim.png"]["Light"] == "dark"


def test_changed_model_redoes_what_depends_on_it(
    mixed: Path, models: Path, ran: dict[str, Ran], tmp_path: Path
) -> None:
    model, out = tmp_path / "model", tmp_path / "OUT"
    shutil.copytree(models / "bright", model)
    shutil.copytree(ran["bright"].out, out)
    folder = out / ran["bright"].folder("light.png").relative_to(ran["bright"].out)
    before = digests(folder)
    text = (model / "model.yaml").read_text()
    (model / "model.yaml").write_text(text.replace("neither bright nor dark", "in between"))
    assert run(mixed, "-o", out, "-m", model, "-q")[0] == 3
    after = digests(folder)
    assert after["features.h5"] == before["features.h5"]
    assert after["result.json"] != before["result.json"]


def test_mask_of_an_earlier_model_is_none_of_a_verdict(tmp_path: Path) -> None:
    photograph(tmp_path / "pictures" / "light.png", level=250)
    graded(tmp_path / "bright")
    dense(tmp_path / "marks", axes=2)
    run_near(tmp_path / "pictures", tmp_path / "both", tmp_path / "marks")
    assert list(tmp_path.glob("both/slides/*/mask.png"))
    folders = []
    for place in ("both", "fresh"):
        run_near(tmp_path / "pictures", tmp_path / place, tmp_path / "bright")
        folders += [*tmp_path.glob(f"{place}/slides/*")]
    one, other = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert one == other


def test_settings_of_slides_are_refused(mixed: Path, models: Path, tmp_path: Path) -> None:
    status, told = run(mixed, "-o", tmp_path / "OUT", "-m", models / "bright", "--tile-px", "224")
    assert status == 2
    assert "--tile-px: for slides, but model bright reads pictures of R G B" in told


def test_dry_run_tells_each_image_and_writes_nothing(mixed: Path, models: Path, tmp_path: Path) -> None:
    status, told = run(mixed, "-o", tmp_path / "OUT", "-m", models / "bright", "--dry-run")
    assert status == 3
    assert "128 x 96 px" in told
    assert "would be refused, E_MODALITY" in told
    assert not (tmp_path / "OUT").exists()


def test_models_say_what_they_eat(models: Path) -> None:
    assert "pictures of R G B, windows of 32 x 32" in run("models", "check", models / "bright")[1]
    status, told = run("models", "check", models / "boxes")
    assert status == 0
    assert "volumes of value, windows of 16 x 16 x 16" in told
    assert "selftest  reproduced" in told


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.name != "stages.json"}

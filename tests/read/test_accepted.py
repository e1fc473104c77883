"""What is no image of the kind, or of no size that the model reads, is refused in words that say what to do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from tests.images.drawn_kinds import chest
from tests.make_radiology import dicom
from wsi.card_image import AcceptsField
from wsi.errors import ModalityError, NoTissueError, ResolutionError
from wsi.field import Field, picture_field, volume_field
from wsi.read.accepted import accepted
from wsi.read.field_info import MEASURED, RGB, FieldInfo, FieldReading
from wsi.read.field_reader import read_field
from wsi.read.looks import LOOKS, LOOKS_OF_MEASURED, look_at
from wsi.read.told_looks import TOLD

MODELS = Path(__file__).parents[2] / "models"


def card(name: str) -> AcceptsField:
    return AcceptsField.model_validate(yaml.safe_load((MODELS / name / "model.yaml").read_text())["input"])


def asked(field: Field, accepts: AcceptsField) -> Field:
    spacing = field.steps if len(field.axes) == 3 else None
    info = FieldInfo("nifti", "", len(field.axes), field.channels, 16, spacing)
    return accepted(FieldReading(field, info), accepts, "a", looks=look_at(field))


def volume(values: NDArray[Any], *, step: float = 1.0) -> Field:
    return volume_field(values[None].astype(np.float32), np.diag([step, step, step, 1.0]), MEASURED)


def smooth(*shape: int) -> NDArray[np.float64]:
    """Values as of an MR, 200 to 1100."""
    values = gaussian_filter(np.random.default_rng(0).normal(0, 1, shape), 2)
    return np.asarray(200 + 900 * (values - values.min()) / np.ptp(values))


def test_volume_of_the_kind_is_taken() -> None:
    assert asked(volume(smooth(36, 50, 34)), card("hippocampus")).shape == (36, 50, 34)


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_volume_of_one_value_has_nothing_in_it(value: float) -> None:
    with pytest.raises(NoTissueError, match="a: all its samples are the same"):
        asked(volume(np.full((36, 50, 34), value)), card("hippocampus"))


def test_mask_is_told_from_an_image() -> None:
    mask = np.digitize(smooth(36, 50, 34), [500, 800])
    with pytest.raises(ModalityError, match=r"a mask, not an image \(levels is 3, expected 64"):
        asked(volume(mask), card("hippocampus"))


def test_noise_is_told_from_an_image() -> None:
    noise = np.random.default_rng(0).integers(0, 1000, (36, 50, 34))
    with pytest.raises(ModalityError, match="as in noise"):
        asked(volume(noise), card("hippocampus"))


def test_ct_without_air_is_told_by_its_fat() -> None:
    soft = -110 + (smooth(36, 50, 34) - 200) / 900 * 190  # fat to muscle
    with pytest.raises(ModalityError, match="fat on the scale of CT"):
        asked(volume(soft), card("hippocampus"))


@pytest.mark.parametrize(("size", "step", "remedy"), [(96, 2.0, "cut out less"), (12, 1.0, "cut out more")])
def test_too_large_or_small_a_part_is_told_in_mm(size: int, step: float, remedy: str) -> None:
    mm = f"{size * step:.3g}"
    with pytest.raises(ResolutionError, match=f"covers {mm} x {mm} x {mm} mm; .* 15 to 100 mm .*{remedy}"):
        asked(volume(smooth(size, size, size), step=step), card("hippocampus"))


@pytest.mark.parametrize(
    ("size", "told"),
    [(9000, "9000 x 300 samples; .*: resize it to at most 8192 x 8192"), (200, "200 x 300 .*: take the original")],
)
def test_too_large_or_small_a_picture_is_told_what_to_become(size: int, told: str) -> None:
    px = np.broadcast_to(np.arange(300, dtype=np.uint8), (3, size, 300))
    accepts = card("retina-vessels").model_copy(update={"looks": {}})
    with pytest.raises(ResolutionError, match=told):
        asked(picture_field(px, RGB), accepts)


def test_spacing_is_told_what_to_become() -> None:
    with pytest.raises(ResolutionError, match=r"0\.2 x 0\.2 x 0\.2 mm .*resample it to at least 0\.4 mm"):
        asked(volume(smooth(100, 100, 100), step=0.2), card("hippocampus"))


def test_another_kind_is_told_where_to_go() -> None:
    with pytest.raises(ModalityError, match=r"a picture, but the model reads volumes .*wsi-run models list"):
        asked(picture_field(np.zeros((3, 9, 9), np.uint8), RGB), card("hippocampus"))


def test_every_look_has_words() -> None:
    assert set(TOLD) == {*LOOKS, *LOOKS_OF_MEASURED}


@pytest.mark.parametrize(
    ("said", "is_taken"), [("CHEST", True), ("", True), ("OWN WORDS", True), ("HAND", False), ("SKULL", False)]
)
def test_part_of_the_body_that_a_dicom_file_names_is_asked(said: str, is_taken: bool, tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", chest(), bits=12, WindowCenter=2048, WindowWidth=4096, BodyPartExamined=said)
    reading, accepts = read_field([path]), card("chest-xray")
    looks = look_at(reading.field)
    if is_taken:
        accepted(reading, accepts, "a", looks=looks)
    else:
        with pytest.raises(ModalityError, match=f"it shows {said}; the model reads CHEST or"):
            accepted(reading, accepts, "a", looks=looks)

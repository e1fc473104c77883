"""One folder with a slide, an eye, skin, a radiograph, a CT and an MR: each shipped model takes its own and says why not."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.images.drawn_kinds import KINDS
from wsi.card_image import AcceptsField
from wsi.config import ReadConfig
from wsi.engine.field_desk import prepare
from wsi.engine.reader import Desk
from wsi.errors import MppMissingError, SlideError
from wsi.model_folder import any_card, find_folder
from wsi.read import SlideFile, find_slides

DATA = Path(os.environ.get("WSI_DATA", "/nowhere")) / "images"
TAKES = {
    "tumor": {"slide", "tissue_picture"},
    "retina-dr": {"eye"},
    "retina-vessels": {"eye"},
    "skin-lesion": {"skin"},
    "chest-xray": {"radiograph", "radiograph_picture"},
    "hippocampus": {"mr"},
}
REASONS = {"E_MODALITY", "E_RESOLUTION"}
"""Another kind, or of a size or spacing that the model can't take; the scale that a picture lacks is no such reason."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SlideFile]:
    """One image of each kind, as they are found in one folder."""
    folder = tmp_path_factory.mktemp("kinds")
    drawn = {name: draw(folder).resolve() for name, draw in KINDS.items()}
    found = [one for one in find_slides(folder) if isinstance(one, SlideFile)]
    assert len(found) == len(drawn)
    return {name: next(one for one in found if path in one.files) for name, path in drawn.items()}


def opened(image: SlideFile, config: ReadConfig) -> None:
    """Open a slide as the decoder process does, and close it."""
    desk = Desk()
    with closing(desk):
        desk._open({"path": str(image.path), "relative": image.relative, "read": config.model_dump(), "mpp_row": None})


def taken(model: str, image: SlideFile, *, mpp: float | None = None) -> SlideError | None:
    """Return why a model refuses an image, None where it takes it: the decoder process's answer to either question."""
    accepts = any_card(find_folder(model, "model")).input
    try:
        if isinstance(accepts, AcceptsField):
            prepare(list(image.files), accepts, image.relative)
        else:
            opened(image, ReadConfig(mpp=mpp))
    except SlideError as error:
        return error
    return None


@pytest.mark.parametrize("model", TAKES)
def test_each_model_takes_its_own_kind_and_refuses_the_rest_with_the_reason(
    model: str, images: dict[str, SlideFile]
) -> None:
    found = {kind: taken(model, image, mpp=0.5) for kind, image in images.items()}
    assert {kind for kind, error in found.items() if error is None} == TAKES[model], found
    for kind, error in found.items():
        if error is not None:
            assert error.code in REASONS, (kind, error)
            assert images[kind].relative in str(error)


def test_slide_model_asks_for_the_scale_of_tissue_only(images: dict[str, SlideFile]) -> None:
    """What is no tissue is refused as that, not for want of a scale that could be given."""
    found = {kind: taken("tumor", image) for kind, image in images.items()}
    missing = {kind for kind, error in found.items() if isinstance(error, MppMissingError)}
    assert missing == {"tissue_picture"}
    assert {error.code for kind, error in found.items() if error is not None and kind not in missing} == {"E_MODALITY"}


def test_reader_by_name_takes_any_picture_for_a_slide(images: dict[str, SlideFile]) -> None:
    opened(images["eye"], ReadConfig(reader="image", mpp=0.5))


REAL: dict[str, tuple[str, str, Callable[[str], bool]]] = {
    "eye": ("retina/idrid_grading", "*.jpg", lambda model: model.startswith("retina")),
    "skin": ("derm/ham", "*.jpg", lambda model: model == "skin-lesion"),
    "radiograph": ("cxr/dicom", "*.dcm", lambda model: model == "chest-xray"),
    "chest picture": ("cxr/nih", "*.jpg", lambda model: model == "chest-xray"),
    "CT": ("ct", "*_ct_sm.nii.gz", lambda model: False),
    "hippocampus": ("mri/hippocampus/images", "*.nii.gz", lambda model: model == "hippocampus"),
}


@pytest.mark.skipif(not DATA.is_dir(), reason="no WSI_DATA with images here")
@pytest.mark.parametrize("kind", REAL)
def test_real_images_are_taken_by_their_own_models_alone(kind: str) -> None:
    where, pattern, takes = REAL[kind]
    paths = sorted((DATA / where).glob(pattern))[:3]
    assert paths
    for path in paths:
        (image,) = find_slides(path)
        assert isinstance(image, SlideFile)
        found = {model: taken(model, image) for model in TAKES}
        assert {model for model, error in found.items() if error is None} == {
            model for model in TAKES if takes(model)
        }, found
        assert {error.code for error in found.values() if error is not None} <= REASONS, found

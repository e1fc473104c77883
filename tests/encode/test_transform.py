import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision import transforms as tv  # timm brings it

from tests.encode import tiny
from wsi.card import Transform
from wsi.encode.transform import prepare, resize_floats

MEAN, STD = (0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517)
MODES = {"bilinear": tv.InterpolationMode.BILINEAR, "bicubic": tv.InterpolationMode.BICUBIC}


def ours(tiles: NDArray[np.uint8], **fields: object) -> NDArray[np.float32]:
    transform = Transform.model_validate({"mean": MEAN, "std": STD, **fields})
    return np.asarray(prepare(torch.from_numpy(tiles), transform))


def theirs(tiles: NDArray[np.uint8], *steps: object) -> NDArray[np.float32]:
    chain = tv.Compose([*steps, tv.ToTensor(), tv.Normalize(MEAN, STD)])
    return np.stack([np.asarray(chain(Image.fromarray(tile))) for tile in tiles])


def gray_levels(prepared: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(255 * (prepared * np.reshape(STD, (3, 1, 1)) + np.reshape(MEAN, (3, 1, 1))), np.float32)


def test_normalizing_equals_torchvision_bit_for_bit() -> None:
    tiles = tiny.tiles(3, side=40)
    np.testing.assert_array_equal(ours(tiles), theirs(tiles))


@pytest.mark.parametrize("crop_px", [30, 31])
def test_center_crop_equals_torchvision_bit_for_bit(crop_px: int) -> None:
    tiles = tiny.tiles(2, side=40)
    np.testing.assert_array_equal(ours(tiles, crop_px=crop_px), theirs(tiles, tv.CenterCrop(crop_px)))


def test_resize_to_the_tiles_own_size_changes_nothing() -> None:
    tiles = tiny.tiles(2, side=40)
    np.testing.assert_array_equal(ours(tiles, resize_px=40, interpolation="bicubic"), theirs(tiles))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("resize_px", [224, 96, 300])
def test_resized_values_are_within_two_gray_levels_of_pil(mode: str, resize_px: int) -> None:
    tiles = tiny.tiles(2, side=256)
    found = gray_levels(ours(tiles, resize_px=resize_px, interpolation=mode))
    wanted = gray_levels(theirs(tiles, tv.Resize(resize_px, MODES[mode])))
    difference = np.abs(found - wanted)
    assert difference.max() <= 2.001
    assert difference.mean() <= 0.1


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_resize_of_other_devices_is_within_two_gray_levels_of_pil(mode: str) -> None:
    tiles = tiny.tiles(2, side=256)
    images = torch.from_numpy(tiles).permute(0, 3, 1, 2).float()
    found = np.asarray(resize_floats(images, 224, mode))  # type: ignore[arg-type]
    resample = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[mode]
    wanted = np.stack([np.asarray(Image.fromarray(tile).resize((224, 224), resample)) for tile in tiles])
    difference = np.abs(found.transpose(0, 2, 3, 1) - wanted)
    assert difference.max() <= 2
    assert difference.mean() <= 0.1


def test_resize_and_crop_of_gigapath_keep_the_scale() -> None:
    """Its publishers resize to 256 px and crop 224: a 256 px tile is only cropped."""
    tiles = tiny.tiles(1, side=256)
    steps = tv.Resize(256, MODES["bicubic"]), tv.CenterCrop(224)
    np.testing.assert_array_equal(
        ours(tiles, resize_px=256, interpolation="bicubic", crop_px=224), theirs(tiles, *steps)
    )

"""One image of each kind, drawn so that it has the look of its kind and nothing else: what models tell apart."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian
from scipy.ndimage import gaussian_filter

from tests.make import draw_tissue, write_svs
from tests.make_radiology import dicom, series


def slide(folder: Path) -> Path:
    write_svs(folder / "slide.svs", draw_tissue(1200, 900, seed=1), levels=2)
    return folder / "slide.svs"


def tissue_picture(folder: Path) -> Path:
    """Stained tissue as a plain PNG, which doesn't say its scale."""
    return _saved(draw_tissue(1200, 900, seed=2), folder / "tissue.png")


def eye(folder: Path) -> Path:
    """A red disk that darkens outward, on black."""
    y, x = np.indices((300, 300)) - 149.5
    pixels = np.array([190.0, 95.0, 45.0]) * (1 - 0.3 * np.hypot(y, x)[..., None] / 150)
    pixels[np.hypot(y, x) > 140] = 0
    return _saved(pixels, folder / "eye.jpg")


def skin(folder: Path) -> Path:
    """Pale skin with a brown spot and hardly any detail."""
    y, x = np.indices((240, 320)) - np.array([119.5, 159.5])[:, None, None]
    spot = 1 / (1 + np.exp((np.hypot(y, x * 0.8) - 60) / 6))[..., None]
    grain = gaussian_filter(np.random.default_rng(3).normal(0, 14, (240, 320)), 3)[..., None]
    return _saved(
        np.array([222.0, 178, 160]) * (1 - spot) + np.array([120.0, 72, 55]) * spot + grain, folder / "skin.jpg"
    )


def chest() -> NDArray[np.uint16]:
    """Two dark lungs beside a bright spine, `(300, 280)`, 12 bits."""
    y, x = np.indices((300, 280)).astype(float)
    lungs = np.maximum(*(np.exp(-(((x - at) / 45) ** 4) - ((y - 150) / 95) ** 4) for at in (80, 200)))
    light = 0.75 - 0.5 * lungs + 0.15 * np.exp(-(((x - 140) / 18) ** 2)) - 0.2 * (y / 300)
    return np.asarray(np.clip(gaussian_filter(light, 3), 0, 1) * 4095, np.uint16)


def radiograph(folder: Path) -> Path:
    return dicom(
        folder / "chest.dcm", chest(), syntax=ExplicitVRLittleEndian, bits=12, WindowCenter=2048, WindowWidth=4096
    )


def radiograph_picture(folder: Path) -> Path:
    """The same as a picture with three equal channels, as such are passed around."""
    return _saved(np.repeat((chest() // 16)[..., None], 3, axis=2), folder / "chest.jpg")


def ct(folder: Path) -> Path:
    return series(folder / "ct", syntax=ExplicitVRLittleEndian)[0]


def ct_volume(folder: Path) -> Path:
    """HU without a word of what they are: air around a body."""
    values = np.full((60, 50, 40), -1000, np.int16)
    values[10:50, 8:42, :] = 40
    return _volume(values, folder / "ct.nii.gz")


def mr(folder: Path) -> Path:
    rng = np.random.default_rng(4)
    values = gaussian_filter(rng.normal(0, 1, (36, 50, 34)), 2)
    return _volume((200 + 900 * (values - values.min())).astype(np.int16), folder / "mr.nii.gz")


KINDS: dict[str, Callable[[Path], Path]] = {
    one.__name__: one for one in (slide, tissue_picture, eye, skin, radiograph, radiograph_picture, ct, ct_volume, mr)
}


def _saved(pixels: NDArray[np.floating] | NDArray[np.integer], path: Path) -> Path:
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, quality=95)
    return path


def _volume(values: NDArray[np.int16], path: Path) -> Path:
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-1.0, 1, 1, 1])), path)
    return path

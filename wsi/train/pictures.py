"""Pictures of a cohort: found, read whole and small, and copies among them named."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray
from PIL import Image

from wsi.errors import LabelsError, TooLargeError, UnreadableError
from wsi.train.duplicates import Duplicate
from wsi.train.locate import JOURNAL, BagFile, Located, read_records

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
MAX_PX = 64 << 20
SMALL = 32
"""Side of the small picture that copies are found by."""
DARK = 0.08
"""Share of the brightest below which a margin is dark, and is left out: copies differ in how much of it they have."""
FINE_PX, MIDDLE = 0.8, 0.37
"""What is coarser than this (a Gaussian, of the small picture's px) is left out, and what lies farther from the middle
than this share of a side: all pictures of one kind are alike in both."""
STRONG = 3.0
"""Detail counts up to this often its median there, lest one edge, as of a ruler, make different pictures alike."""
LEAST_LIKE = 0.7
"""Correlation of two copies, at least. Of 240 pictures of four kinds that were made smaller and saved as JPEG of quality 50
all reach it (at least 0.76); of 240,000 pairs of others none does (at most 0.65), however they are turned."""
BLOCK = 1024
TRIED = 8
"""A picture turned by quarters and mirrored."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: pixels `(h, w, 3)` uint8 RGB, and its file's size."""

    pixels: NDArray[np.uint8]
    file_bytes: int


def locate_pictures(folder: Path) -> Located:
    """Return the pictures in a folder, or the thumbnails of a run's OUT, by the name of the slide.

    Raises:
        LabelsError: there are none.
    """
    if not folder.is_dir():
        raise LabelsError(f"{folder}: no such folder; expected pictures, or the OUT of a run")
    if (folder / JOURNAL).is_file():
        records = read_records(folder / JOURNAL)
        paths = {record.path: folder / "slides" / record.slide / "thumbnail.jpg" for record in records.values()}
        found = [BagFile(name, path) for name, path in paths.items() if path.is_file()]
        refused = {name: "no thumbnail" for name, path in paths.items() if not path.is_file()}
    else:
        files = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        found = [BagFile(path.relative_to(folder).as_posix(), path) for path in files]
        refused = {}
    if not found:
        raise LabelsError(f"{folder}: no pictures there; expected {', '.join(SUFFIXES)}, or the OUT of a run")
    return Located(folder, tuple(sorted(found, key=lambda one: one.name)), refused, "picture")


def read_picture(path: Path) -> Picture:
    """Read a picture as RGB; gray is spread over the three, 16 bits lose their lower eight.

    Raises:
        UnreadableError: not a picture, or cut off.
        TooLargeError: more than 64 million px.
    """
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # checked here, before anything is decoded
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PX:
                raise TooLargeError(f"{path}: {image.width} x {image.height} px; shrink pictures to 8,000 px a side")
            deep = image.mode.startswith(("I", "F"))
            gray = np.asarray(image) if deep else None
            pixels = np.asarray(image.convert("RGB")) if gray is None else _eight_bits(gray)
        return Picture(pixels, path.stat().st_size)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        if isinstance(error, TooLargeError):
            raise
        raise UnreadableError(f"{path}: not a readable picture ({error}); export it again") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _eight_bits(gray: NDArray[np.generic]) -> NDArray[np.uint8]:
    values = np.nan_to_num(gray.astype(np.float64), posinf=0.0, neginf=0.0)
    shown = np.clip(values / (257.0 if values.max(initial=0.0) > 255 else 1.0), 0, 255).astype(np.uint8)
    return np.repeat(shown[..., None], 3, axis=2)


def detail_of(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the fine detail in the middle of a picture's light part, `(32, 32)` of length 1; 0 where there is none."""
    image = Image.fromarray(_light_part(pixels)).convert("L").resize((SMALL, SMALL), Image.Resampling.BOX)
    gray = np.asarray(image, np.float32)
    y, x = np.indices(gray.shape) - (SMALL - 1) / 2
    middle = np.hypot(y, x) < MIDDLE * SMALL
    fine = gray - scipy.ndimage.gaussian_filter(gray, FINE_PX)
    most = STRONG * np.median(np.abs(fine[middle]))
    fine = np.where(middle, np.clip(fine, -most, most), 0)
    length = float(np.linalg.norm(fine))
    found: NDArray[np.float32] = (fine / length if length > 1 else np.zeros_like(fine)).astype(np.float32)
    return found


def _light_part(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture without its dark margins."""
    small = np.asarray(Image.fromarray(pixels).convert("L").resize((2 * SMALL, 2 * SMALL), Image.Resampling.BOX))
    light = small > DARK * np.percentile(small, 99.5)
    ends = []
    for axis, length in enumerate(pixels.shape[:2]):
        places = np.flatnonzero(light.any(axis=1 - axis))
        if len(places) < SMALL // 2:
            return pixels
        ends.append(slice(int(places[0]) * length // (2 * SMALL), (int(places[-1]) + 1) * length // (2 * SMALL)))
    part: NDArray[np.uint8] = pixels[ends[0], ends[1]]
    return part if part.size else pixels


def near_pictures(names: Sequence[str], details: NDArray[np.float32]) -> list[Duplicate]:
    """Return the pairs of pictures that show the same, also turned by quarters or mirrored, with their correlation.

    Args:
        names: of the pictures. details: `(n, 32, 32)` from `detail_of`.
    """
    rows = details.reshape(len(names), -1)
    found: dict[tuple[int, int], float] = {}
    for turned in range(TRIED):
        others = _turn(details, turned).reshape(len(names), -1)
        for low in range(0, len(names), BLOCK):
            alike = rows[low : low + BLOCK] @ others.T  # (b, n)
            for at, other in np.argwhere(alike >= LEAST_LIKE):
                pair = (low + int(at), int(other))
                if pair[0] < pair[1]:
                    found[pair] = max(float(alike[at, other]), found.get(pair, 0.0))
    return [Duplicate("near", (names[a], names[b]), min(share, 1.0)) for (a, b), share in sorted(found.items())]


def _turn(details: NDArray[np.float32], how: int) -> NDArray[np.float32]:
    turned = np.rot90(details, how % 4, axes=(1, 2))
    return turned[:, :, ::-1] if how >= 4 else turned


def equal_files(names: Sequence[str], digests: Sequence[str]) -> Iterator[Duplicate]:
    """Yield pairs of pictures whose bytes are the same."""
    first: dict[str, str] = {}
    for name, digest in zip(names, digests, strict=True):
        other = first.setdefault(digest, name)
        if other != name:
            yield Duplicate("file", (other, name), 1.0)

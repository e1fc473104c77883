"""Pictures of a cohort: found, read whole and small, and copies among them named."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

from wsi.errors import LabelsError, TooLargeError, UnreadableError
from wsi.train.duplicates import Duplicate
from wsi.train.locate import JOURNAL, BagFile, Located, read_records

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
MAX_PX = 64 << 20
SMALL = 32
"""Side of the small gray picture that copies are found by."""
HASHED = 8
"""Rows and columns of its lowest waves whose signs are the hash: 63 bits, the mean left out."""
MAX_BITS = 8
MAX_DIFFERENCE = 0.2
"""Root mean square difference of two copies, as a share of the picture's own standard deviation. 200 dermoscopies made
smaller and saved as JPEG of quality 30 differ by 0.18 at most; of 880 of other lesions no two come below 0.3."""
BLOCK = 512
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


def small_gray(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return `(32, 32)` gray of mean 0 and standard deviation 1; 0 where the picture is one color."""
    image = Image.fromarray(pixels).convert("L").resize((SMALL, SMALL), Image.Resampling.BOX)
    gray = np.asarray(image, np.float32)
    gray = gray - gray.mean()
    std = gray.std()
    shown: NDArray[np.float32] = gray / std if std > 1 else np.zeros_like(gray)
    return shown


def near_pictures(names: Sequence[str], grays: NDArray[np.float32]) -> list[Duplicate]:
    """Return the pairs of pictures that show the same, also turned by quarters or mirrored.

    Candidates by the signs of the lowest waves (a perceptual hash, Zauner 2010), then compared px by px.

    Args:
        names: of the pictures. grays: `(n, 32, 32)` from `small_gray`.
    """
    bits = np.where(_waves(grays) > 0, 1.0, -1.0).astype(np.float32)  # (n, 63)
    blank = np.abs(grays).max(axis=(1, 2), initial=0) == 0
    found: dict[tuple[int, int], float] = {}
    for turned in range(TRIED):
        others = np.where(_waves(_turn(grays, turned)) > 0, 1.0, -1.0).astype(np.float32)
        for low in range(0, len(names), BLOCK):
            apart = (bits.shape[1] - bits[low : low + BLOCK] @ others.T) / 2  # (b, n) bits
            for at, other in np.argwhere(apart <= MAX_BITS):
                pair = (low + int(at), int(other))
                if pair[0] < pair[1] and not (blank[pair[0]] or blank[pair[1]]):
                    rest = float(np.sqrt(((grays[pair[0]] - _turn(grays[pair[1]][None], turned)[0]) ** 2).mean()))
                    if rest <= MAX_DIFFERENCE:
                        found[pair] = min(rest, found.get(pair, rest))
    return [Duplicate("near", (names[a], names[b]), 1.0 - rest) for (a, b), rest in sorted(found.items())]


def _waves(grays: NDArray[np.float32]) -> NDArray[np.float32]:
    waves = dctn(grays, axes=(1, 2))[:, :HASHED, :HASHED].reshape(len(grays), -1)[:, 1:]
    return np.asarray(waves, np.float32)


def _turn(grays: NDArray[np.float32], how: int) -> NDArray[np.float32]:
    turned = np.rot90(grays, how % 4, axes=(1, 2))
    return turned[:, :, ::-1] if how >= 4 else turned


def equal_files(names: Sequence[str], digests: Sequence[str]) -> Iterator[Duplicate]:
    """Yield pairs of pictures whose bytes are the same."""
    first: dict[str, str] = {}
    for name, digest in zip(names, digests, strict=True):
        other = first.setdefault(digest, name)
        if other != name:
            yield Duplicate("file", (other, name), 1.0)

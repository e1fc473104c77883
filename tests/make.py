"""Draw every input of the tests: pictures with known geometry, and slides in the formats that scanners write.

All is computed from a seed. `python tests/make.py demo FOLDER` draws one slide to try the tool on.
"""

import functools
import math
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

GLASS = (243, 243, 245)
STROMA = (226, 160, 196)
NUCLEUS = (92, 58, 142)
NUCLEUS_UM = 3.5
"""Radius of a drawn nucleus in µm."""
NUCLEI_PER_MM2 = 3500


@dataclass(frozen=True, slots=True)
class Disc:
    """A disc in level-0 px; tissue is the union of a picture's discs."""

    x: float
    y: float
    radius: float


def tissue_discs(width: int, height: int, *, seed: int = 0) -> tuple[Disc, ...]:
    """Return the discs whose union is the tissue that `draw_tissue` draws; all inside the picture."""
    random = np.random.default_rng(seed)
    side = min(width, height)
    discs = []
    for x, y in ((0.32, 0.34), (0.68, 0.62)):
        radius = side * random.uniform(0.17, 0.21)
        at_x, at_y = width * x, height * y
        discs.append(Disc(at_x, at_y, radius))
        for angle in random.uniform(0, 2 * math.pi, 4):
            discs.append(
                Disc(at_x + radius * 0.5 * math.cos(angle), at_y + radius * 0.5 * math.sin(angle), radius * 0.6)
            )
    return tuple(discs)


def disc_mask(width: int, height: int, discs: Iterable[Disc]) -> NDArray[np.bool_]:
    """Return which px, by their centers, lie in any of the discs, `(height, width)`."""
    mask = np.zeros((height, width), np.bool_)
    for disc in discs:
        left, right = max(0, math.floor(disc.x - disc.radius)), min(width, math.ceil(disc.x + disc.radius))
        top, bottom = max(0, math.floor(disc.y - disc.radius)), min(height, math.ceil(disc.y + disc.radius))
        x = np.arange(left, right)[None, :] + 0.5 - disc.x
        y = np.arange(top, bottom)[:, None] + 0.5 - disc.y
        mask[top:bottom, left:right] |= x * x + y * y <= disc.radius**2
    return mask


def draw_tissue(width: int, height: int, *, seed: int = 0, mpp: float = 0.5) -> Pixels:
    """Return an H&E-like picture `(height, width, 3)`: glass, two pieces of pink tissue, purple nuclei.

    The tissue is the union of `tissue_discs(width, height, seed=seed)`, to the pixel.
    """
    random = np.random.default_rng(seed + 1)
    mask = disc_mask(width, height, tissue_discs(width, height, seed=seed))
    pixels = np.full((height, width, 3), GLASS, np.uint8)
    shade = random.integers(-22, 10, (max(2, height // 64), max(2, width // 64))).astype(np.float32)
    tone = np.asarray(Image.fromarray(shade).resize((width, height), Image.Resampling.BILINEAR))
    grain = random.integers(-6, 7, (256, 256)).astype(np.int16)
    fine = np.tile(grain, (height // 256 + 1, width // 256 + 1))[:height, :width] + tone.astype(np.int16)
    for channel, value in enumerate(STROMA):
        drawn = np.clip(fine + value, 0, 255).astype(np.uint8)
        pixels[..., channel][mask] = drawn[mask]
    _draw_nuclei(pixels, mask, random, mpp)
    return pixels


def _draw_nuclei(pixels: Pixels, mask: NDArray[np.bool_], random: np.random.Generator, mpp: float) -> None:
    height, width = mask.shape
    count = round(NUCLEI_PER_MM2 * width * height * (mpp / 1000) ** 2)
    for x, y, scale, tint in zip(
        random.integers(0, width, count),
        random.integers(0, height, count),
        random.uniform(0.7, 1.3, count),
        random.integers(-15, 16, count),
        strict=True,
    ):
        radius = max(1, round(NUCLEUS_UM / mpp * scale))
        top, left = max(0, y - radius), max(0, x - radius)
        box = (slice(top, y + radius + 1), slice(left, x + radius + 1))
        rows, columns = np.ogrid[top - y : top - y + mask[box].shape[0], left - x : left - x + mask[box].shape[1]]
        inside = (rows * rows + columns * columns <= radius * radius) & mask[box]
        pixels[box][inside] = np.clip(np.array(NUCLEUS) + tint, 0, 255)


def pyramid(pixels: Pixels, levels: int, step: int) -> list[Pixels]:
    """Return the picture and its area averages, each `step` times smaller, sizes rounded down as scanners do."""
    found = [pixels]
    for level in range(1, levels):
        scale = step**level
        height, width = pixels.shape[0] // scale * scale, pixels.shape[1] // scale * scale
        if min(height, width) == 0:
            break
        found.append(np.asarray(Image.fromarray(pixels[:height, :width]).reduce(scale)))
    return found


_KINDS: dict[str, dict[str, Any]] = {
    "jpeg": {"compression": "jpeg", "photometric": "ycbcr", "subsampling": (2, 2)},
    "jpeg2000": {"compression": "aperio_jp2000_rgb", "compressionargs": {"level": 0}, "photometric": "rgb"},
    "deflate": {"compression": "zlib", "photometric": "rgb"},
    "lzw": {"compression": "lzw", "photometric": "rgb"},
    "none": {"photometric": "rgb"},
}
"""How tiles may be stored; all but jpeg give back the px that were drawn."""


def _store(file: tifffile.TiffWriter, picture: Pixels, compression: str, tile: int, **more: Any) -> None:
    """Append one tiled page. JPEG tiles are encoded here, as tifffile wouldn't convert their colors."""
    kind = {**_KINDS[compression], "tile": (tile, tile), "metadata": None, **more}
    if compression == "jpeg":
        tiles = (as_jpeg(frame) for frame in cut(picture, tile))
        file.write(tiles, shape=picture.shape, dtype=picture.dtype, **kind)
    else:
        file.write(picture, **kind)


def write_svs(
    path: Path,
    pixels: Pixels,
    *,
    mpp: float | str | None = 0.5,
    tile: int = 256,
    levels: int = 3,
    step: int = 4,
    compression: str = "jpeg",
    power: float | str | None = 20,
    text: str = "",
    label: Pixels | None = None,
) -> Path:
    """Write an Aperio slide; `text` joins its free-text description, `label` becomes its label and its macro image."""
    height, width = pixels.shape[:2]
    stated = [f"AppMag = {power}"] * (power is not None) + [f"MPP = {mpp}"] * (mpp is not None) + [text] * bool(text)
    head = f"Aperio Image Library v12.0.16 \r\n{width}x{height} [0,0 {width}x{height}] ({tile}x{tile}) JPEG/RGB Q=92"
    with tifffile.TiffWriter(path) as file:
        for level, picture in enumerate(pyramid(pixels, levels, step)):
            about = "|".join([head, *stated])
            _store(file, picture, compression, tile, description=about, subfiletype=int(level > 0))
            if level == 0:
                small = np.asarray(Image.fromarray(pixels).resize((64, max(1, 64 * height // width))))
                file.write(small, description=head, metadata=None, photometric="rgb", rowsperstrip=small.shape[0])
        for name, kind in (("label", 1), ("macro", 9)) if label is not None else ():
            about = f"Aperio Image Library v12.0.16 \r\n{name} {label.shape[1]}x{label.shape[0]}"  # type: ignore[union-attr]
            file.write(label, description=about, metadata=None, subfiletype=kind, photometric="rgb", compression="lzw")
    return path


def write_tiff(
    path: Path,
    pixels: Pixels,
    *,
    mpp: float | tuple[float, float] | None = 0.5,
    tile: int | None = 256,
    levels: int = 3,
    step: int = 2,
    compression: str = "deflate",
    rows_per_strip: int = 16,
) -> Path:
    """Write a TIFF without a vendor: a tiled pyramid, or with `tile=None` one level in strips.

    mpp goes into the resolution tags (one figure, or x and y); None leaves them without a unit.
    """
    x, y = mpp if isinstance(mpp, tuple) else (mpp, mpp)
    with tifffile.TiffWriter(path) as file:
        for level, picture in enumerate(pyramid(pixels, levels if tile else 1, step)):
            scale = step**level
            said: dict[str, Any] = {"resolution": (1, 1), "resolutionunit": "NONE"}
            if x and y:
                said = {"resolution": (1e4 / (x * scale), 1e4 / (y * scale)), "resolutionunit": "CENTIMETER"}
            if tile:
                _store(file, picture, compression, tile, subfiletype=int(level > 0), **said)
            else:
                file.write(picture, metadata=None, rowsperstrip=rows_per_strip, **said, **_KINDS[compression])
    return path


def write_ome(
    path: Path,
    pixels: Pixels,
    *,
    mpp: float | None = 0.5,
    unit: str = "µm",
    tile: int = 256,
    levels: int = 3,
    step: int = 2,
    subifds: bool = True,
    compression: str = "deflate",
) -> Path:
    """Write an OME-TIFF whose smaller levels are SubIFDs; without `subifds` it has one level."""
    smaller = pyramid(pixels, levels, step)[1:] if subifds else []
    said = {"PhysicalSizeX": mpp, "PhysicalSizeXUnit": unit, "PhysicalSizeY": mpp, "PhysicalSizeYUnit": unit}
    metadata = {"axes": "YXS", **(said if mpp else {})}
    with tifffile.TiffWriter(path, ome=True) as file:
        _store(file, pixels, compression, tile, subifds=len(smaller), metadata=metadata)
        for picture in smaller:
            _store(file, picture, compression, tile, subfiletype=1)
    return path


def write_picture(path: Path, pixels: Pixels, *, kind: str = "PNG") -> Path:
    """Write a plain PNG, JPEG or BMP."""
    Image.fromarray(pixels).save(path, format=kind)
    return path


write_png = write_picture


def cut(pixels: Pixels, tile: int) -> list[Pixels]:
    """Return the tiles of a picture in rows; those at the border are filled up with white."""
    height, width = pixels.shape[:2]
    rows, columns = -(-height // tile), -(-width // tile)
    full = np.full((rows * tile, columns * tile, 3), 255, np.uint8)
    full[:height, :width] = pixels
    return [
        np.ascontiguousarray(full[y * tile : (y + 1) * tile, x * tile : (x + 1) * tile])
        for y in range(rows)
        for x in range(columns)
    ]


def as_jpeg(pixels: Pixels, quality: int = 92) -> bytes:
    """Return the px as one JPEG, YCbCr with 4:2:0 chroma."""
    stored = BytesIO()
    Image.fromarray(pixels).save(stored, format="JPEG", quality=quality, subsampling=2)
    return stored.getvalue()


def damage_tiles(path: Path, indices: Sequence[int], *, level: int = 0) -> Path:
    """Overwrite the stored bytes of some frames of a tiled TIFF or a DICOM file, so that they can't be decoded."""
    if path.read_bytes()[128:132] == b"DICM":
        places = _dicom_frames(path)
    else:
        with tifffile.TiffFile(path) as file:
            pages: list[Any] = list(file.pages)
            page = ([each for each in pages if each.is_tiled] or pages)[level]
            places = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    with path.open("rb+") as stored:
        for index in indices:
            offset, count = places[index]
            stored.seek(offset)
            stored.write(b"\x55" * count)
    return path


def leave_out_tiles(path: Path, indices: Sequence[int], *, level: int = 0) -> Path:
    """Make a tiled TIFF say that some frames were never stored, as scanners do with glass."""
    with tifffile.TiffFile(path, mode="r+") as file:
        pages: list[Any] = [page for page in file.pages if page.is_tiled]  # type: ignore[union-attr]
        for name in ("TileOffsets", "TileByteCounts"):
            tag = pages[level].tags[name]
            tag.overwrite([0 if i in indices else value for i, value in enumerate(tag.value)])
    return path


def _dicom_frames(path: Path) -> list[tuple[int, int]]:
    import pydicom

    stored, places, at = path.read_bytes(), [], 0
    found = pydicom.dcmread(path)
    for frame in pydicom.encaps.generate_frames(found.PixelData, number_of_frames=int(found.NumberOfFrames)):
        at = stored.index(frame, at)
        places.append((at, len(frame)))
        at += len(frame)
    return places


def write_large(
    path: Path,
    side: int,
    *,
    mpp: float = 0.25,
    tile: int = 512,
    seed: int = 0,
    picture: Pixels | None = None,
    quality: int = 92,
) -> Path:
    """Write an Aperio pyramid of `side` x `side` px in a second and a few MB, with a disc of tissue in the middle.

    Most tiles of a level share their stored bytes: one of tissue, one of glass. The tissue is a disc of radius
    0.35 `side`, in steps of whole tiles but for the smallest level, which is drawn. `picture` is the tile of tissue,
    `(tile, tile, 3)`, when it isn't drawn either.
    """
    if picture is None:
        texture = draw_tissue(4 * tile, 4 * tile, seed=seed, mpp=mpp)
        at = int(tissue_discs(4 * tile, 4 * tile, seed=seed)[0].x) - tile // 2
        picture = texture[at : at + tile, at : at + tile]
    tissue, glass = (as_jpeg(px, quality) for px in (picture, np.full((tile, tile, 3), GLASS, np.uint8)))
    said = (
        f"Aperio Image Library v12.0.16 \r\n{side}x{side} ({tile}x{tile}) JPEG|AppMag = {round(10 / mpp)}|MPP = {mpp}"
    )
    sizes = [side]
    while sizes[-1] > 2048:
        sizes.append(sizes[-1] // 4)
    blocks, levels = [tissue, glass], []
    for size in sizes:
        columns = -(-size // tile)
        middle = (np.arange(columns) + 0.5) * tile - size / 2
        inside = middle[None, :] ** 2 + middle[:, None] ** 2 <= (0.35 * size) ** 2
        levels.append((size, np.where(inside, 0, 1).ravel()))
    if len(sizes) > 1:
        size = sizes[-1]
        mask = disc_mask(size, size, [Disc(size / 2, size / 2, 0.35 * size)])
        drawn = np.where(mask[..., None], np.array(STROMA, np.uint8), np.array(GLASS, np.uint8))
        tiles = cut(drawn, tile)
        levels[-1] = (size, np.arange(len(tiles)) + len(blocks))
        blocks += [as_jpeg(picture) for picture in tiles]
    path.write_bytes(_shared_tiff(levels, blocks, tile, said.encode()))
    return path


def _shared_tiff(levels: list[tuple[int, NDArray[Any]]], blocks: list[bytes], tile: int, said: bytes) -> bytes:
    """Return a TIFF of square levels, each a list of which of the `blocks` its tiles are."""
    stored = bytearray(struct.pack("<2sHI", b"II", 42, 0))
    places = []
    for block in blocks:
        places.append(len(stored))
        stored += block + b"\0" * (len(block) % 2)
    link = 4
    offsets, counts = np.array(places, np.uint32), np.array([len(block) for block in blocks], np.uint32)
    for level, (size, chosen) in enumerate(levels):
        values = [
            (254, 4, [int(level > 0)]),
            (256, 4, [size]),
            (257, 4, [size]),
            (258, 3, [8, 8, 8]),
            (259, 3, [7]),
            (262, 3, [6]),
            (270, 2, said + b"\0"),
            (277, 3, [3]),
            (284, 3, [1]),
            (322, 3, [tile]),
            (323, 3, [tile]),
            (324, 4, offsets[chosen].tobytes()),
            (325, 4, counts[chosen].tobytes()),
            (530, 3, [2, 2]),
        ]
        struct.pack_into("<I", stored, link, len(stored))
        link = _append_ifd(stored, values)
    return bytes(stored)


def _append_ifd(stored: bytearray, values: list[tuple[int, int, Any]]) -> int:
    """Append a directory and its values; return where the next one's offset belongs."""
    size_of, letter = {2: 1, 3: 2, 4: 4}, {3: "H", 4: "I"}
    table = struct.pack("<H", len(values))
    beyond, after = b"", len(stored) + 2 + 12 * len(values) + 4
    for tag, kind, value in values:
        packed = value if isinstance(value, bytes) else struct.pack(f"<{len(value)}{letter[kind]}", *value)
        count = len(packed) // size_of[kind]
        if len(packed) > 4:
            table += struct.pack("<HHII", tag, kind, count, after + len(beyond))
            beyond += packed + b"\0" * (len(packed) % 2)
        else:
            table += struct.pack("<HHI", tag, kind, count) + packed.ljust(4, b"\0")
    stored += table + b"\0\0\0\0" + beyond
    return after - 4


def write_demo(folder: Path) -> Path:
    """Write demo.svs, 6,000 x 5,000 px at 0.5 µm per px, with two pieces of tissue."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_svs(folder / "demo.svs", draw_tissue(6000, 5000, seed=7), mpp=0.5, power=20)


@functools.cache
def small_picture() -> Pixels:
    """Return the picture that most tests look at: 1,000 x 700 px with tissue and nuclei. Not to be written to."""
    pixels = draw_tissue(1000, 700, seed=3)
    pixels.setflags(write=False)
    return pixels


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "demo":
        sys.exit("usage: python tests/make.py demo FOLDER")
    sys.stdout.write(f"{write_demo(Path(sys.argv[2]))}\n")

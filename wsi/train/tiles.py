"""Labeled tiles or images: a CSV, or a folder a class; groups that may be one patient stay on one side."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi.errors import LabelsError
from wsi.table import Problems, read_table

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
GROUPS = ("group", "patient", "patient_id", "case", "case_id", "slide", "slide_id")
LABELS = ("label", "class", "target")
FILES = ("file", "path", "image", "tile")
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class LabeledTile:
    """A picture, the place of its class, and who it may share a patient with."""

    path: Path
    label: int
    group: str


@dataclass(frozen=True, slots=True)
class TileSet:
    """All tiles in order of their paths, and the classes by name; grouped: the file told the groups."""

    tiles: tuple[LabeledTile, ...]
    classes: tuple[str, ...]
    grouped: bool

    def pixels(self, place: int, side_px: int) -> Pixels:
        """Return a tile as `(side_px, side_px, 3)` RGB, resized when it is of another size.

        Raises:
            LabelsError: no picture, or one that isn't square.
        """
        path = self.tiles[place].path
        try:
            with Image.open(path) as image:
                if image.width != image.height:
                    raise LabelsError(f"{path}: {image.width} x {image.height} px; cut square tiles first")
                rgb = image.convert("RGB")
        except (OSError, Image.DecompressionBombError) as error:
            raise LabelsError(f"{path}: not a picture that can be read ({error})") from error
        resized = rgb if rgb.width == side_px else rgb.resize((side_px, side_px), Image.Resampling.BICUBIC)
        return np.asarray(resized)


def read_tiles(target: Path, *, classes: Sequence[str] = ()) -> TileSet:
    """Return the tiles of a CSV with the columns file, label and maybe group, or of a folder with a folder a class.

    Args:
        classes: those to keep, in this order; () keeps all, by name.

    Raises:
        LabelsError: another form, no tile of a class, or files that aren't there; all together.
    """
    rows, grouped = _from_table(target) if target.is_file() else _from_folders(target)
    names = tuple(classes) or tuple(sorted({label for _, label, _ in rows}))
    kept = [LabeledTile(path, names.index(label), group) for path, label, group in rows if label in names]
    lacking = [name for k, name in enumerate(names) if not any(tile.label == k for tile in kept)]
    if len(names) < 2 or lacking:
        raise LabelsError(
            f"{target}: classes {', '.join(names) or 'none'}; no tile of {', '.join(lacking) or 'a second one'}"
        )
    return TileSet(tuple(sorted(kept, key=lambda tile: tile.path.as_posix())), names, grouped)


def _from_table(path: Path) -> tuple[list[tuple[Path, str, str]], bool]:
    table = read_table(path)
    file, label, group = table.find(FILES), table.find(LABELS), table.find(GROUPS)
    if file is None or label is None:
        raise LabelsError(f"{path}: columns {', '.join(table.columns)}; expected file, label and maybe group")
    problems = Problems(path)
    rows: list[tuple[Path, str, str]] = []
    first: dict[Path, int] = {}
    for row in table.rows:
        name, said = row.get(file), row.get(label)
        if name is None or said is None:
            continue
        at = path.parent / name
        if not at.is_file():
            problems.add(f"line {row.line}: no file {name}")
        elif (earlier := first.setdefault(at.resolve(), row.line)) != row.line:
            problems.add(f"line {row.line}: {name} stands on line {earlier}, too; expected one line a tile")
        if group is not None and row.get(group) is None:
            problems.add(f"line {row.line}: column {group!r} is empty; every line needs it, or none")
        rows.append((at, said, row.get(group) or name))
    problems.raise_any()
    return rows, group is not None


def _from_folders(folder: Path) -> tuple[list[tuple[Path, str, str]], bool]:
    if not folder.is_dir():
        raise LabelsError(f"{folder}: no such file or folder; expected a CSV, or a folder with a folder a class")
    rows = [
        (path, inner.name, path.as_posix())
        for inner in sorted(folder.iterdir())
        if inner.is_dir()
        for path in sorted(inner.rglob("*"))
        if path.suffix.lower() in SUFFIXES and not any(part[0] == "." for part in path.relative_to(folder).parts)
    ]
    return rows, False


def split_tiles(tiles: TileSet, *, seed: int, shares: tuple[float, float]) -> tuple[list[int], list[int], list[int]]:
    """Return places of training, validation and test tiles; whole groups, each class spread alike.

    Args:
        shares: of the groups, for validation and for test.

    Raises:
        LabelsError: a class has too few groups for three parts.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for place, tile in enumerate(tiles.tiles):
        members[tile.group].append(place)
    by_class: dict[int, list[str]] = defaultdict(list)
    for group in sorted(members):
        labels = [tiles.tiles[place].label for place in members[group]]
        by_class[max(set(labels), key=lambda label: (labels.count(label), -label))].append(group)
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    rng = np.random.default_rng(seed)
    for label in sorted(by_class):
        groups = [by_class[label][i] for i in rng.permutation(len(by_class[label])).tolist()]
        counts = [max(1, round(share * len(groups))) for share in shares]
        if len(groups) < sum(counts) + 1:
            raise LabelsError(f"class {tiles.classes[label]}: {len(groups)} groups are too few for three parts")
        for n, group in enumerate(groups):
            part = 1 if n < counts[0] else 2 if n < sum(counts) else 0
            parts[part].extend(members[group])
    for part_places in parts:
        part_places.sort()
    return parts

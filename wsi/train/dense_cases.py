"""Images with their masks: paired by name, dealt by patient, read onto the grid that the network sees."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi.errors import LabelsError, LeakError, UsageError
from wsi.field import Field
from wsi.geometry import Circle
from wsi.preprocess import apply
from wsi.publish import sha256_bytes, sha256_file
from wsi.read.field_reader import read_field
from wsi.read.round_view import round_view
from wsi.segment.grid import labels_under
from wsi.segment.loss import IGNORED
from wsi.train.cohort import Case, Cohort
from wsi.train.dense_settings import MaskConfig

JOINTS = "_-. "
"""What may follow the image's name in that of its mask: Image_01L.jpg and Image_01L_1stHO.png."""
APART = 1e-2
"""mm that the corners of an image and its mask may lie apart."""
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Example:
    """An image, its mask and its patient; sha256 over both files."""

    id: str
    patient: str
    image: Path
    mask: Path
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """An example as the network sees it, and as it is in the files.

    values `(C, *shape)` float32 preprocessed; labels `(*shape)` on its grid, IGNORED beyond the image.
    grid: the preprocessed field without its values' memory shared; original: the field as read, one channel of it.
    truth `(*original shape)`: labels as the file has them. view: the picture's round field of view, if it has one.
    """

    example: Example
    grid: Field
    labels: NDArray[np.uint8]
    original: Field
    truth: NDArray[np.uint8]
    view: Circle | None

    @property
    def values(self) -> NDArray[np.float32]:
        return self.grid.values


def find_examples(images: Path, masks: Path, config: MaskConfig) -> tuple[Example, ...]:
    """Return the images that have a mask, in order of their names.

    A mask is called as its image is, or begins so: both may lie in one folder. One that is called exactly as an image
    belongs to that image alone.

    Raises:
        LabelsError: images without a mask or with several, none at all, or a name that tells no patient.
        LeakError: one file as the image of two patients.
    """
    files, marked = _files(images), _files(masks)
    exact = _exact(files, marked)
    mask_of = {
        path: [one for one in marked if one != path and _belongs(one, path, exact=one in exact)] for path in files
    }
    used = {one for found in mask_of.values() for one in found}
    problems, examples = [], []
    for path, found in mask_of.items():
        if path in used:
            continue
        if len(found) != 1:
            what = "no mask" if not found else f"{len(found)} masks, {', '.join(one.name for one in found[:SHOWN])}"
            problems.append(f"{path.name} has {what}")
            continue
        sha256 = sha256_bytes(f"{sha256_file(path)} {sha256_file(found[0])}".encode())
        examples.append(Example(_stem(path), _patient(path, config), path, found[0], sha256))
    if problems or not examples:
        told = "; ".join(problems[:SHOWN]) or "no image in it"
        rest = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise LabelsError(f"{images}: {told}{rest}; a mask is called as its image is, or begins so, in {masks}")
    _refuse_copies(examples)
    return tuple(sorted(examples, key=lambda one: one.id))


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; expected one with images")
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _stem(path: Path) -> str:
    """Return the name of a file without its suffix; .nii.gz is one."""
    return re.sub(r"\.nii\.gz$|\.[^.]*$", "", path.name)


def _exact(files: Sequence[Path], marked: Sequence[Path]) -> set[Path]:
    """Return the masks that are called exactly as another file, which is their image."""
    stems, known = Counter(map(_stem, files)), set(files)
    return {one for one in marked if stems[_stem(one)] > (one in known)}


def _belongs(mask: Path, image: Path, *, exact: bool) -> bool:
    mine, its = _stem(mask), _stem(image)
    return mine == its or (not exact and mine.startswith(its) and mine[len(its)] in JOINTS)


def _patient(path: Path, config: MaskConfig) -> str:
    if config.data.patient is None:
        return _stem(path)
    found = re.search(config.data.patient, path.name)
    if found is None or not found.group(1):
        raise LabelsError(f"{path.name}: data.patient {config.data.patient!r} finds no patient in this name")
    return str(found.group(1))


def _refuse_copies(examples: Sequence[Example]) -> None:
    owners: dict[str, set[str]] = defaultdict(set)
    for one in examples:
        owners[sha256_file(one.image)].add(one.patient)
    shared = [sorted(found) for found in owners.values() if len(found) > 1]
    if shared:
        raise LeakError(f"one image belongs to patients {' and '.join(shared[0])}; name one patient for both")


def cohort_of(examples: Sequence[Example]) -> Cohort:
    """Return the examples as cases, so that they are split by patient and the folds are sealed as any others."""
    return Cohort(tuple(Case(one.id, one.patient, None, (one.id,), {}, {}) for one in examples), ())


def prepare(example: Example, config: MaskConfig) -> Prepared:
    """Read one example; `config.input` says how.

    Raises:
        LabelsError: a mask of another shape or place, or with values that no structure has.
        SlideError: a file that can't be read.
    """
    assert config.input is not None
    original = read_field([example.image]).field
    truth = read_truth(example, original, config)
    grid = apply(original, config.input.preprocess)
    labels = labels_under(truth, original, grid, classes=len(config.structures) + 1)
    thin = original.with_values(original.values[:1], channels=original.channels[:1])
    return Prepared(example, grid, labels, thin, truth, round_view(original))


def read_truth(example: Example, original: Field, config: MaskConfig) -> NDArray[np.uint8]:
    """Return the labels `(*shape)` of an image as its mask file says; 0 is background."""
    mask = read_field([example.mask]).field
    values = np.rint(mask.values)
    if mask.shape != original.shape:
        raise LabelsError(f"{example.mask.name}: {mask.shape} samples, its image has {original.shape}")
    if not (values == values[0]).all():
        raise LabelsError(f"{example.mask.name}: a color picture; expected one value a sample")
    corners = np.array([np.zeros(len(mask.shape)), np.array(mask.shape) - 1.0])
    apart = float(np.abs(mask.to_world(corners) - original.to_world(corners)).max())
    if apart > APART:
        raise LabelsError(f"{example.mask.name}: lies {apart:.3g} mm away from its image; write both on one grid")
    labels = np.zeros(original.shape, np.uint8)
    known = values[0] == 0
    for place in range(len(config.structures)):
        told = config.values_of(place)
        here = np.isin(values[0], told) if told else values[0] > 0
        labels[here] = place + 1
        known |= here
    if not known.all():
        strange = Counter(values[0][~known].tolist()).most_common(SHOWN)
        raise LabelsError(
            f"{example.mask.name}: holds {', '.join(f'{value:g}' for value, _ in strange)}, which no structure's values name"
        )
    return labels


def share_known(prepared: Sequence[Prepared]) -> Iterator[float]:
    """Yield the share of each image's samples that teach."""
    for one in prepared:
        yield float((one.labels != IGNORED).mean())

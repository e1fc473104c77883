"""Find the slides in a folder: one entry a slide, however many files it has."""

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import normalize

from wsi.errors import UnreadableError
from wsi.printable import spelled_name
from wsi.publish import TEMPORARY
from wsi.read.dicom_parts import Member, Part, joined
from wsi.read.sniff import HEAD_BYTES, is_dicom, is_slide

SAMPLE_BYTES = 1 << 16
MAX_NAME = 80
MAX_INI_BYTES = 1 << 16
_KINDS = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


@dataclass(frozen=True, slots=True)
class SlideFile:
    """A slide to open: `path` is what a reader gets, `files` all that belongs to it, `id` unique in a run.

    `relative` is the path below the folder that was searched, in NFC, with `/`. `place` is where that lies: unlike
    `path`, a link itself and not what it leads to.
    """

    path: Path
    id: str
    relative: str
    files: tuple[Path, ...]
    place: Path


@dataclass(frozen=True, slots=True)
class Rejected:
    """Something with a slide's name that no reader may touch."""

    path: Path
    id: str
    relative: str
    code: str
    reason: str

    @property
    def place(self) -> Path:
        return self.path


def find_slides(target: Path, *, skip: Path | None = None) -> list[SlideFile | Rejected]:
    """Return the slides at `target`, a folder (searched through) or one file, by relative path.

    Only the first bytes and a few samples of each file are read. A DICOM series in one folder is one slide (or one
    volume), and slices of one series in several folders are one volume; a MIRAX file with its folder is one slide. Hidden
    files, results of this tool and `skip` are passed over.
    """
    if target.is_dir() and target.suffix.lower() != ".mrxs":
        root, entries = target, list(_in_folder(target, skip))
    else:
        root, entries = target.parent, list(_group([target], target.parent))
    found = [one for one in entries if not isinstance(one, Part)]
    found += [_dicom(one, root) for one in joined(one for one in entries if isinstance(one, Part))]
    found.sort(key=lambda slide: (slide.relative, slide.id))
    return _unique(found)


def _in_folder(root: Path, skip: Path | None) -> Iterator[SlideFile | Rejected | Part]:
    seen: set[tuple[int, int]] = set()
    skipped = skip.resolve() if skip is not None else None
    troubles: list[OSError] = []
    for folder, folders, names in os.walk(root, followlinks=True, onerror=troubles.append):
        here = Path(folder)
        try:
            place = here.stat()
        except OSError as error:
            troubles.append(error)
            continue
        if (place.st_dev, place.st_ino) in seen:
            folders.clear()  # a link that leads back
            continue
        seen.add((place.st_dev, place.st_ino))
        companions = {name[:-5] for name in names if name.lower().endswith(".mrxs")}
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name not in companions and not _is_results(here / name, skipped)
        )
        files = [here / name for name in sorted(names) if not name.startswith((".", TEMPORARY))]
        yield from _group(files, root)
    for trouble in troubles:
        reason = f"a folder that can't be read ({trouble.strerror}); check its permissions"
        yield _rejected(Path(os.fsdecode(trouble.filename)), root, reason)


def _is_results(folder: Path, skipped: Path | None) -> bool:
    # os.path's answer for a folder that may not be looked into is no; pathlib's is an error.
    has_results = os.path.isdir(folder / "slides") and os.path.isfile(folder / "results.jsonl")  # noqa: PTH112, PTH113
    return folder.resolve() == skipped or has_results


def _group(files: list[Path], root: Path) -> Iterator[SlideFile | Rejected | Part]:
    """Yield one entry for each slide among the files of a folder."""
    taken: set[Path] = set()
    series: dict[str, dict[Path, Member]] = {}
    for path in files:
        taken |= set(_ini_members(path))
    for path in files:
        if path in taken:
            continue
        head, trouble = _look(path)
        if trouble:
            if path.suffix or path.is_symlink():
                yield _rejected(path, root, trouble)
        elif is_dicom(head):
            from wsi.read.dicom_group import member_of  # loads pydicom, which most folders have no use for

            member = member_of(path)
            if member is not None:
                series.setdefault(member.group, {})[path] = member
        elif is_slide(path, head) and (blocked := _blocked(path)):
            yield _rejected(path, root, blocked)
        elif is_slide(path, head):
            yield _slide(path, (path, *_companions(path)), root)
    for members in series.values():
        yield Part(members, alone=len(series) == 1 and len(members) == len(files))


def _look(path: Path) -> tuple[bytes, str]:
    """Return a file's first bytes, or why it may not be opened."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            return b"", f"{_KINDS.get(stat.S_IFMT(mode), 'not a file')}, not a slide; take it out of the folder"
        with path.open("rb") as file:
            return file.read(HEAD_BYTES), ""
    except OSError as error:
        what = "a link that leads nowhere" if path.is_symlink() and not path.exists() else error.strerror or str(error)
        return b"", f"can't be read ({what}); repair or remove it"


def _blocked(path: Path) -> str:
    """Return why a slide of several files may not be opened: a FIFO among them would be waited for without end."""
    mirax = path.suffix.lower() == ".mrxs"
    for part in sorted(path.resolve().with_suffix("").glob("*")) if mirax else _ini_members(path):
        if part.exists() and not part.is_file() and not part.is_dir():
            what = _KINDS.get(stat.S_IFMT(part.stat().st_mode), "not a file")
            return f"its file {spelled_name(part.name)} is {what}; take it out of the folder"
    return ""


def _companions(path: Path) -> tuple[Path, ...]:
    """Return the other files of a slide that has several."""
    if path.suffix.lower() == ".mrxs":
        folder = path.resolve().with_suffix("")
        return tuple(sorted(p for p in folder.glob("*") if p.is_file())) if folder.is_dir() else ()
    return tuple(p for p in _ini_members(path) if p.is_file())


def _ini_members(path: Path) -> list[Path]:
    """Return the files that a Hamamatsu .vms or .vmu lists, of those that are there; none for any other."""
    if path.suffix.lower() not in (".vms", ".vmu"):
        return []
    try:
        if not path.is_file():
            return []
        with path.open("rb") as file:
            text = file.read(MAX_INI_BYTES).decode("latin-1")
    except OSError:
        return []
    names = re.findall(r"(?m)^\s*(?:ImageFile[^=]*|MapFile|OptimisationFile|MacroImage)\s*=\s*(\S.*?)\s*$", text)
    listed = [path.parent / name for name in names if name == Path(name).name]
    return [part for part in listed if os.path.exists(part)]  # noqa: PTH110, as pathlib raises where a name is too long


def _dicom(series: Part, root: Path) -> SlideFile:
    """Return one series as one slide, named after its (first) folder when it has it for itself."""
    files = [*series.members]
    first = next((path for path, member in series.members.items() if member.is_level), files[0])
    folder = first.parent
    named = folder if series.alone and len(files) > 1 and folder != root else first
    return _slide(first, tuple(files), root, named=named)


def _slide(path: Path, files: tuple[Path, ...], root: Path, *, named: Path | None = None) -> SlideFile:
    relative = _relative(named or path, root)
    try:
        mark = fingerprint(files)
    except OSError:
        mark = hashlib.sha256(relative.encode()).hexdigest()
    members, name = tuple(p.resolve() for p in files), f"{safe_name(relative)}-{mark[:8]}"
    return SlideFile(path.resolve(), name, relative, members, _place(named or path))


def _rejected(path: Path, root: Path, trouble: str) -> Rejected:
    relative = _relative(path, root)
    mark = hashlib.sha256(relative.encode()).hexdigest()
    name = f"{safe_name(relative)}-{mark[:8]}"
    return Rejected(_place(path), name, relative, UnreadableError.code, f"{relative}: {trouble}")


def _place(path: Path) -> Path:
    return path.parent.resolve() / path.name


def _relative(path: Path, root: Path) -> str:
    text = path.relative_to(root).as_posix() if path != root else path.name
    return normalize("NFC", spelled_name(text))


def safe_name(relative: str) -> str:
    """Return a folder name made from a slide's path that is safe on every file system."""
    stem = re.sub(r"(\.nii)?\.[A-Za-z0-9]{1,5}$", "", relative)
    return re.sub(r"[^A-Za-z0-9._-]+", "_", stem).strip("._-")[:MAX_NAME] or "slide"


def fingerprint(files: tuple[Path, ...]) -> str:
    """Return a sha256 over the sizes and a few samples of the files: cheap, and enough to tell slides apart."""
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        digest.update(f"{size}\n".encode())
        with path.open("rb") as file:
            for at in sorted({0, max(0, size // 2 - SAMPLE_BYTES), max(0, size - SAMPLE_BYTES)}):
                file.seek(at)
                digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()


def mark_of(path: Path) -> tuple[int, int, int]:
    """Return size, time and inode of a file, by which a change of it is noticed; OSError when it isn't there."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def _unique(found: list[SlideFile | Rejected]) -> list[SlideFile | Rejected]:
    """Number ids that differ by case only or not at all (a/1.svs and a_1.svs with the same content)."""
    used: dict[str, int] = {}
    unique = []
    for slide in found:
        count = used[slide.id.lower()] = used.get(slide.id.lower(), 0) + 1
        unique.append(slide if count == 1 else replace(slide, id=f"{slide.id}-{count}"))
    return unique

"""DICOM files of one image, by what each says of itself; slices of a series that lie in several folders are joined."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Member:
    """What a file says of itself: `group` is the same for files of one image; `is_level` marks a slide's own levels."""

    group: str
    is_level: bool
    instance: str = ""
    """Its SOPInstanceUID, of a slice of a volume; "" of all else."""
    form: tuple[float | str, ...] = ()
    """Of a slice its study and frame of reference, its orientation, and its rows and columns."""
    place: tuple[float, ...] = ()
    """Of a slice its position in mm."""


@dataclass(frozen=True, slots=True)
class Part:
    """DICOM files of one image in a folder, one at least; `alone` says that the folder holds nothing else."""

    members: dict[Path, Member]
    alone: bool

    @property
    def group(self) -> str:
        return next(iter(self.members.values())).group

    def continues(self, other: "Part") -> bool:
        """Return whether its slices go on where those of another end: alike, and each in a place of its own.

        A copy of a series doesn't continue it, nor does another phase or echo: they lie in the same places.
        """
        ours, theirs = self.members.values(), other.members.values()
        places, instances = ({one.place for one in theirs}, {one.instance for one in theirs})
        if {one.form for one in ours} != {one.form for one in theirs} or len({one.form for one in ours}) > 1:
            return False
        return all(one.instance and one.instance not in instances and one.place not in places for one in ours)


def joined(parts: Iterable[Part]) -> list[Part]:
    """Return the parts, those that continue one another as one."""
    known: dict[str, list[Part]] = {}
    for part in parts:
        same = known.setdefault(part.group, [])
        for at, other in enumerate(same):
            if part.continues(other):
                same[at] = Part({**other.members, **part.members}, alone=other.alone and part.alone)
                break
        else:
            same.append(part)
    return [part for same in known.values() for part in same]

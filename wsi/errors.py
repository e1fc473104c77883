"""Every error this tool raises on purpose, with its stable code.

WsiError
├── UsageError              E_USAGE          the command line can't be followed (exit 2)
│   ├── ConfigError         E_CONFIG         a config file or value is wrong (exit 2)
│   ├── LabelsError         E_LABELS         labels that don't fit the slides or themselves (exit 2)
│   └── LeakError           E_LEAK           one patient on both sides of a split (exit 2)
├── SlideError                               one slide can't be used; the run goes on
│   ├── UnreadableError     E_UNREADABLE     no reader can open the file
│   ├── FormatError         E_FORMAT         a known format, but not one we can decode
│   ├── RegionError         E_REGION         part of the slide can't be decoded
│   ├── ModalityError       E_MODALITY       not 8-bit RGB brightfield
│   ├── MppError                             the pixel size can't be trusted
│   │   ├── MppMissingError  E_MPP_MISSING   no pixel size anywhere
│   │   ├── MppRangeError    E_MPP_RANGE     a pixel size no microscope has
│   │   └── MppConflictError E_MPP_CONFLICT  two sources contradict each other
│   ├── ResolutionError     E_RESOLUTION     the slide is coarser than the model needs
│   ├── TooLargeError       E_TOO_LARGE      a bomb: the claimed size can't be true or held
│   ├── ChangedError        E_CHANGED        the file changed while it was read
│   ├── NoTissueError       E_NO_TISSUE      nothing to look at
│   └── LossError           E_LOSS           too many tiles are unreadable to grade
├── AnnotationError         E_ANNOTATION     polygons that can't be read
├── ModelError              E_MODEL          a model folder that can't be trusted
│   ├── WeightsError        E_WEIGHTS        weights missing, gated or damaged
│   └── EncoderMismatchError E_ENCODER       features of another encoder
├── EmptyBagError           E_EMPTY_BAG      attention over nothing
├── ArtifactError           E_ARTIFACT       a file of OUT is damaged or not ours
├── AbsentError             E_ABSENT         a slide to be shown isn't where it lay
├── NoSpaceError            E_NOSPACE        the disk is full
├── LockedError             E_LOCKED         another run holds it
└── ChildError                               a supervised process failed
    ├── CrashError          E_CRASH          it died
    ├── TimeoutExceeded     E_TIMEOUT        it made no progress in time
    └── MemoryExceeded      E_MEMORY         it passed its memory limit
"""

import difflib
from collections.abc import Iterable


class WsiError(Exception):
    """Base of all: a message for people and a `code` for programs."""

    code = "E_BUG"


class UsageError(WsiError, ValueError):
    code = "E_USAGE"


class ConfigError(UsageError):
    code = "E_CONFIG"


class LabelsError(UsageError):
    code = "E_LABELS"


class LeakError(UsageError):
    code = "E_LEAK"


class SlideError(WsiError, ValueError):
    """One slide can't be used."""

    code = "E_SLIDE"


class UnreadableError(SlideError, OSError):
    code = "E_UNREADABLE"


class FormatError(SlideError):
    code = "E_FORMAT"


class RegionError(SlideError, OSError):
    code = "E_REGION"


class ModalityError(SlideError):
    code = "E_MODALITY"


class MppError(SlideError):
    """The pixel size can't be trusted."""

    code = "E_MPP"


class MppMissingError(MppError):
    code = "E_MPP_MISSING"


class MppRangeError(MppError):
    code = "E_MPP_RANGE"


class MppConflictError(MppError):
    code = "E_MPP_CONFLICT"


class ResolutionError(SlideError):
    code = "E_RESOLUTION"


class TooLargeError(SlideError):
    code = "E_TOO_LARGE"


class ChangedError(SlideError):
    code = "E_CHANGED"


class NoTissueError(SlideError):
    code = "E_NO_TISSUE"


class LossError(SlideError):
    code = "E_LOSS"


class AnnotationError(WsiError, ValueError):
    code = "E_ANNOTATION"


class ModelError(WsiError, ValueError):
    code = "E_MODEL"


class WeightsError(ModelError):
    code = "E_WEIGHTS"


class EncoderMismatchError(ModelError):
    code = "E_ENCODER"


class EmptyBagError(WsiError, ValueError):
    code = "E_EMPTY_BAG"


class ArtifactError(WsiError, OSError):
    code = "E_ARTIFACT"


class AbsentError(WsiError, OSError):
    code = "E_ABSENT"


class NoSpaceError(WsiError, OSError):
    code = "E_NOSPACE"


class LockedError(WsiError, OSError):
    code = "E_LOCKED"


class ChildError(WsiError, RuntimeError):
    """A supervised process failed."""

    code = "E_CHILD"


class CrashError(ChildError):
    code = "E_CRASH"


class TimeoutExceeded(ChildError, TimeoutError):  # noqa: N818  (reads as the fact it states)
    code = "E_TIMEOUT"


class MemoryExceeded(ChildError, MemoryError):  # noqa: N818
    code = "E_MEMORY"


def _codes(root: type[WsiError]) -> dict[str, type[WsiError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found |= _codes(child)
    return found


def from_code(code: str, message: str) -> WsiError:
    """Rebuild the error that another process reported as a code and a message."""
    return _codes(WsiError).get(code, WsiError)(message)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the known name nearest to a wrong one, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=2, cutoff=0.6)
    return f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""

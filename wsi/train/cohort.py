"""Cases with their labels: who is whose, what is known of each, and what looks wrong."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wsi.train.labels import Target, Value
from wsi.train.locate import BagFile

NOT_TOLD = "patients-not-told"
GRADES_BY_NAME = "grades-by-name"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a person should know before training: a stable code, a sentence, and whom it is about."""

    code: str
    message: str
    names: tuple[str, ...] = ()


def told(findings: Iterable[Finding], *, most: int) -> Iterator[tuple[str, str]]:
    """Yield code and sentence of findings, at most so many of a kind and then how many more there are."""
    groups: dict[str, list[str]] = {}
    for finding in findings:
        groups.setdefault(finding.code, []).append(finding.message)
    for code, messages in groups.items():
        yield from ((code, message) for message in messages[:most])
        if len(messages) > most:
            yield code, f"… and {len(messages) - most} more"


@dataclass(frozen=True, slots=True)
class Case:
    """One bag with its labels.

    patient: who it belongs to, one name for all spellings. targets: the value of each target's columns, None where
    missing. columns: the file's columns that are no targets, as text (of the first line, for several slides).
    """

    id: str
    patient: str
    site: str | None
    slides: tuple[str, ...]
    targets: Mapping[str, Value]
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cohort:
    """The cases in order of their ids (whatever the file's order), what is asked of them, and what was found.

    files: each slide's features, by its name in `Case.slides`. tiles: how many each slide has; empty when the
    features weren't looked into.
    """

    cases: tuple[Case, ...]
    targets: tuple[Target, ...]
    findings: tuple[Finding, ...] = ()
    files: Mapping[str, BagFile] = field(default_factory=dict)
    tiles: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def tells_patients(self) -> bool:
        """Whether the labels tell which slides are of one patient."""
        return not any(finding.code == NOT_TOLD for finding in self.findings)

    def target(self, name: str) -> Target:
        """Return the target of that name; KeyError when there is none."""
        return {target.name: target for target in self.targets}[name]

    def labels(self, name: str) -> NDArray[np.float64]:
        """Return `(cases, columns)` of one target's values, NaN where missing; see `Target.encode`."""
        target = self.target(name)
        rows = [target.encode(case.targets) for case in self.cases]
        return np.array(rows, np.float64).reshape(len(self.cases), len(target.columns))

"""One patient under several spellings: found, merged and named, so that no split separates a patient from itself."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_LOOKALIKES = str.maketrans("АВЕЅІЈКМНОРСТХУԜΑΒΕΖΗΙΚΜΝΟΡΤΥΧасеѕіјорхуοѵ", "ABESIJKMHOPCTXYWABEZHIKMNOPTYXacesijopxyov")
"""Cyrillic and Greek letters that a person (or a keyboard layout) takes for Latin ones; NFKC leaves them apart."""
_SUFFIX = re.compile(r"(\.(svs|tiff?|ome|ndpi|mrxs|scn|bif|czi|dcm|qptiff|h5|jpe?g|png|gz))+$")
_TOKEN = re.compile(r"[^\W\d_]+|\d+")
_WORDS = frozenset({"patient", "subject"})
"""Said before a number, they add nothing to it."""
_SCHEMES = (
    re.compile(r"^(tcga)[\W_]*([a-z0-9]{2})[\W_]*([a-z0-9]{4})(?![a-z0-9])"),
    re.compile(r"^(c3[ln])[\W_]*(\d{5})(?!\d)"),
    re.compile(r"^(gtex)[\W_]*([a-z0-9]{4,5})(?![a-z0-9])"),
    re.compile(r"^(patient)[\W_]*(\d{3})[\W_]+node[\W_]*\d"),
)
"""How names of public cohorts start with the patient: TCGA (GDC barcode), CPTAC, GTEx, CAMELYON17."""


def _plain(name: str) -> str:
    """Return a name in one spelling of letters, dashes and blanks, lower case, without a slide's suffix."""
    name = unicodedata.normalize("NFKC", name).translate(_LOOKALIKES)
    name = "".join(
        " " if unicodedata.category(c) in ("Cc", "Zs") else c for c in name if unicodedata.category(c) != "Cf"
    )
    name = unicodedata.normalize("NFKC", name.casefold().strip(" \"'`"))
    name = _SUFFIX.sub("", name)
    return re.sub(r"^(\d+)\.0+$", r"\1", name)  # a number that a spreadsheet made a fraction


def known_patient(slide: str) -> str | None:
    """Return the key of the patient whom a slide's name tells, in the naming of a public cohort; None for others."""
    plain = _plain(slide.replace("\\", "/").rsplit("/", 1)[-1])
    match = next((found for scheme in _SCHEMES if (found := scheme.match(plain))), None)
    return "-".join(match.groups()) if match else None


def patient_key(name: str) -> str:
    """Return what all spellings of one patient's id have in common.

    Case, blanks, separators, zeros before a number, look-alike letters, a slide's suffix, and all of a public
    cohort's barcode after the patient are dropped. Numbers stay apart: P1 isn't P11, P-1-2 isn't P-12.
    """
    known = known_patient(name)
    if known is not None:
        return known
    plain = _plain(name)
    tokens: list[str] = []
    for token in _TOKEN.findall(plain):
        if token[0].isdecimal():
            tokens.append("".join(str(unicodedata.decimal(c)) for c in token).lstrip("0") or "0")
        elif tokens and not tokens[-1][0].isdecimal():
            tokens[-1] += token
        else:
            tokens.append(token)
    if len(tokens) > 1 and tokens[0] in _WORDS:
        tokens = tokens[1:]
    return "-".join(tokens) or plain or name


@dataclass(frozen=True, slots=True)
class Merge:
    """Spellings that are one patient, the name kept for it, and why."""

    name: str
    spellings: tuple[str, ...]
    reason: str


def merge_patients(slides_of: Mapping[str, Sequence[str]]) -> tuple[dict[str, str], list[Merge]]:
    """Find which ids are one patient.

    Args:
        slides_of: the slides of each patient id, as the labels file spells it. Slides of one patient by their
            public barcode join the ids they stand under.

    Returns:
        the name of each id's patient (the id with most slides, else the first by name), and the merges.
    """
    joined = Joined(slides_of)
    by_key: dict[str, str] = {}
    by_barcode: dict[str, str] = {}
    for patient in sorted(slides_of):
        joined.join(by_key.setdefault(patient_key(patient), patient), patient)
    spelled = {frozenset(group) for group in joined.groups()}
    for patient in sorted(slides_of):
        for slide in slides_of[patient]:
            barcode = known_patient(slide)
            if barcode is not None:
                joined.join(by_barcode.setdefault(barcode, patient), patient)
    names: dict[str, str] = {}
    merges: list[Merge] = []
    for group in joined.groups():
        counts = Counter({patient: len(slides_of[patient]) for patient in group})
        name = min(group, key=lambda patient: (-counts[patient], patient))
        names |= dict.fromkeys(group, name)
        if len(group) > 1:
            reason = "one id, spelled in several ways" if frozenset(group) in spelled else "their slides' names say so"
            merges.append(Merge(name, tuple(sorted(group)), reason))
    return names, merges


class Joined:
    """Names joined into groups, two at a time."""

    def __init__(self, names: Iterable[str]) -> None:
        self._root = {name: name for name in names}

    def _find(self, name: str) -> str:
        while self._root[name] != name:
            self._root[name] = self._root[self._root[name]]
            name = self._root[name]
        return name

    def join(self, one: str, other: str) -> None:
        low, high = sorted((self._find(one), self._find(other)))
        self._root[high] = low

    def groups(self) -> list[tuple[str, ...]]:
        """Return the groups, each sorted, in order of their first name."""
        found: dict[str, list[str]] = defaultdict(list)
        for name in sorted(self._root):
            found[self._find(name)].append(name)
        return [tuple(found[key]) for key in sorted(found)]

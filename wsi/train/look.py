"""One look into every bag before training: what is damaged, what doesn't mix, what is there twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from wsi.encode import Features, require_same_encoder
from wsi.errors import ArtifactError, EncoderMismatchError
from wsi.table import SHOWN
from wsi.train.duplicates import BagFacts, Duplicate, bag_facts, find_duplicates
from wsi.train.locate import read_bag
from wsi.train.rows import Entry


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look at all slides found: how many tiles each has, and which are the same tissue."""

    tiles: Mapping[str, int]
    pairs: Sequence[Duplicate]


def look_into(entries: Sequence[Entry]) -> Looked:
    """Read every bag once; what is wrong with several files is told together.

    Raises:
        ArtifactError: files are damaged.
        EncoderMismatchError: two slides were encoded differently.
    """
    facts: dict[str, BagFacts] = {}
    damaged: list[str] = []
    first: tuple[Entry, Features] | None = None
    for entry in entries:
        assert entry.bag is not None
        try:
            bag = read_bag(entry.bag)
        except ArtifactError as error:
            damaged.append(str(error))
            continue
        first = first or (entry, replace(bag, coords=bag.coords[:0], features=bag.features[:0]))
        _require_one_encoder(*first, entry, bag)
        facts[entry.slide] = bag_facts(bag)
    if damaged:
        rest = f"\n  … and {len(damaged) - SHOWN} more" if len(damaged) > SHOWN else ""
        raise ArtifactError("\n  ".join(damaged[:SHOWN]) + rest)
    return Looked({slide: one.tiles for slide, one in facts.items()}, find_duplicates(facts))


def _require_one_encoder(first: Entry, its: Features, entry: Entry, bag: Features) -> None:
    try:
        require_same_encoder(its, bag)
    except EncoderMismatchError as error:
        raise EncoderMismatchError(f"{first.slide} and {entry.slide}: {error}") from error

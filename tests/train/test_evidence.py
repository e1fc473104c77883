"""Models that need their evidence lose it; models that don't are told."""

import numpy as np
import pytest
from numpy.typing import NDArray

from wsi.errors import UsageError
from wsi.train import Target
from wsi.train.evidence import AS_IT_IS, EXCHANGED_TILES, OTHERS_TILES, Trial, class_order, try_evidence

CASES = 80
LABELS = [at % 2 for at in range(CASES)]
Floats = NDArray[np.float64]
Bag = NDArray[np.float32]


def lesion_bags(size: int = 100) -> list[Bag]:
    """Three tiles in a hundred of the positive bags are of a lesion: their first feature is high."""
    rng = np.random.default_rng(0)
    bags = [rng.normal(size=(size + int(rng.integers(20)), 4)).astype(np.float32) for _ in range(CASES)]
    for bag, label in zip(bags, LABELS, strict=True):
        bag[:3, 0] += 8 * label
    return bags


def stained_bags() -> list[Bag]:
    """All tiles of the positive bags are a little different."""
    rng = np.random.default_rng(0)
    return [(rng.normal(size=(100, 4)) + np.eye(4)[0] * label).astype(np.float32) for label in LABELS]


def sized_bags() -> list[Bag]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(40 + 60 * label + int(rng.integers(20)), 4)).astype(np.float32) for label in LABELS]


def by_attention(bag: Bag) -> tuple[Floats, Floats]:
    """Attend to a high first feature and score what was attended to."""
    attention = np.exp(bag[:, 0].astype(np.float64))
    attention /= attention.sum()
    score = float(attention @ bag[:, 0])
    return np.array([-score, score]), attention


def by_size(bag: Bag) -> tuple[Floats, Floats]:
    return np.array([0.0, len(bag)]), np.full(len(bag), 1 / len(bag))


def tried(bags: list[Bag], read: object) -> dict[str, Trial]:
    patients = [f"p{at}" for at in range(CASES)]
    found = try_evidence(lambda at: bags[at], read, LABELS, patients=patients, classes=("a", "b"))  # type: ignore[arg-type]
    return {trial.what: trial for trial in found}


def area(trial: Trial) -> float:
    assert trial.figure.value is not None
    return trial.figure.value


def test_a_model_of_a_lesion_needs_its_top_tiles() -> None:
    found = tried(lesion_bags(), by_attention)
    assert area(found[AS_IT_IS]) > 0.99
    assert area(found["without its top 10% of tiles"]) < 0.75
    assert area(found["without 10% of tiles at random"]) > 0.95
    assert area(found[EXCHANGED_TILES]) < 0.05
    assert abs(area(found[OTHERS_TILES]) - 0.5) < 0.15
    assert not any(trial.warning for trial in found.values())


def test_a_model_of_the_stain_does_not_and_is_told() -> None:
    found = tried(stained_bags(), by_attention)
    assert "stain, scanner or background" in found["without its top 90% of tiles"].warning


def test_a_model_of_the_bags_size_is_told() -> None:
    found = tried(sized_bags(), by_size)
    assert area(found[OTHERS_TILES]) == 1.0
    assert "size of the bag" in found[OTHERS_TILES].warning


def test_bags_of_one_tile_are_never_emptied() -> None:
    rng = np.random.default_rng(0)
    bags = [rng.normal(size=(1 + at % 2, 4)).astype(np.float32) for at in range(CASES)]
    assert all(trial.figure.is_estimable for trial in tried(bags, by_attention).values())


def test_seed_alone_decides() -> None:
    assert tried(lesion_bags(), by_attention) == tried(lesion_bags(), by_attention)


def test_each_of_several_classes_is_judged() -> None:
    def read(bag: Bag) -> tuple[Floats, Floats]:
        return bag[:, :3].mean(axis=0).astype(np.float64), np.full(len(bag), 1 / len(bag))

    labels = [at % 3 for at in range(60)]
    rng = np.random.default_rng(0)
    bags = [(rng.normal(size=(20, 4)) + np.eye(4)[label]).astype(np.float32) for label in labels]
    patients = [str(at) for at in range(60)]
    found = try_evidence(lambda at: bags[at], read, labels, patients=patients, classes=("a", "b", "c"))
    assert {trial.target for trial in found if trial.what == AS_IT_IS} == {"a", "b", "c"}
    assert all(area(trial) > 0.95 for trial in found if trial.what == AS_IT_IS)


def test_classes_meet_by_name_or_as_negative_and_positive() -> None:
    target = Target("x", "binary", ("normal", "tumor"))
    assert class_order(target, ["Tumor", "Normal"], positive=0) == [1, 0]
    assert class_order(target, ["benign", "malignant"], positive=1) == [0, 1]
    assert class_order(target, ["malignant", "benign"], positive=0) == [1, 0]
    assert class_order(Target("x", "multiclass", ("c", "a")), ["a", "b", "c"], positive=0) == [2, 0]


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (Target("x", "multiclass", ("lung", "colom")), "no class 'colom'.*Did you mean 'colon'"),
        (Target("x", "regression"), "models of classes only"),
    ],
)
def test_classes_that_do_not_meet_are_told(target: Target, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        class_order(target, ["lung", "colon", "skin"], positive=0)

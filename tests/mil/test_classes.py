"""Class probabilities of binary, multi-class and ordinal heads."""

import math

import numpy as np
import pytest
import torch

from wsi.errors import UsageError
from wsi.mil import Kind, OrderedCuts, class_probabilities, cumulative_logits, logit_count, make_classifier


def probabilities(logits: list[float], kind: Kind) -> list[float]:
    found: list[float] = class_probabilities(torch.tensor(logits, dtype=torch.float64), kind).tolist()
    return found


def test_a_binary_logit_is_the_log_odds_of_the_second_class() -> None:
    assert probabilities([math.log(3)], "binary") == pytest.approx([0.25, 0.75], abs=1e-15)


def test_several_classes_share_by_their_odds() -> None:
    assert probabilities([math.log(1), math.log(2), math.log(5)], "multiclass") == pytest.approx([1 / 8, 2 / 8, 5 / 8])


def test_ordered_grades_are_differences_of_the_odds_of_being_above() -> None:
    above = [0.9, 0.6, 0.2]
    logits = [math.log(p / (1 - p)) for p in above]
    assert probabilities(logits, "ordinal") == pytest.approx([0.1, 0.3, 0.4, 0.2], abs=1e-15)


def test_cuts_out_of_order_never_give_less_than_nothing() -> None:
    above = [0.5, 0.8, 0.2]
    logits = [math.log(p / (1 - p)) for p in above]
    assert probabilities(logits, "ordinal") == pytest.approx([0.5, 0.0, 0.3, 0.2], abs=1e-15)


@pytest.mark.parametrize(("kind", "logits"), [("binary", 1), ("multiclass", 5), ("ordinal", 4)])
def test_probabilities_are_none_below_zero_and_sum_to_one(kind: Kind, logits: int) -> None:
    drawn = np.random.default_rng(0).normal(0, 20, (500, logits))
    found = class_probabilities(torch.from_numpy(drawn), kind).numpy()
    assert found.min() >= 0
    assert np.abs(found.sum(axis=1) - 1).max() < 1e-14


def test_a_sure_negative_keeps_its_small_probability() -> None:
    assert probabilities([40.0], "binary")[0] == pytest.approx(math.exp(-40), rel=1e-12)
    assert probabilities([40.0, 39.0], "ordinal")[0] == pytest.approx(math.exp(-40), rel=1e-12)


def test_a_higher_score_moves_every_grade_up() -> None:
    cuts = OrderedCuts(1, 5)
    with torch.no_grad():
        cuts.weight.fill_(1.0)
        scores = torch.linspace(-8, 8, 33)[:, None]  # (33, 1)
        found = class_probabilities(cuts(scores), "ordinal")  # (33, 5)
    at_least = found.flip(-1).cumsum(-1).flip(-1)[:, 1:]  # (33, 4)
    assert (at_least.diff(dim=0) > 0).all()


def test_untrained_cuts_give_each_grade_the_same_probability() -> None:
    with torch.no_grad():
        found = class_probabilities(OrderedCuts(3, 5)(torch.zeros(3)), "ordinal")
    assert found.tolist() == pytest.approx([0.2] * 5, abs=1e-6)


def test_all_cuts_share_one_score() -> None:
    cuts = OrderedCuts(4, 3)
    assert {name: tuple(tensor.shape) for name, tensor in cuts.state_dict().items()} == {"weight": (1, 4), "bias": (2,)}
    embedding = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        gaps = cuts(embedding).diff(dim=-1)  # (7, 1)
    assert torch.allclose(gaps, (cuts.bias[1] - cuts.bias[0]).detach().expand(7, 1), atol=1e-6)


def test_each_label_has_a_probability_of_its_own() -> None:
    assert probabilities([math.log(3), 0.0, math.log(1 / 9)], "multilabel") == pytest.approx([0.75, 0.5, 0.1])


@pytest.mark.parametrize("kind", ["regression", "survival"])
def test_what_has_no_classes_has_no_probability_of_one(kind: Kind) -> None:
    with pytest.raises(UsageError, match=f"a {kind} target has no classes"):
        probabilities([0.0], kind)


def test_conditional_odds_of_being_above_multiply() -> None:
    once = [0.8, 0.5, 0.25]
    logits = cumulative_logits(torch.tensor([math.log(p / (1 - p)) for p in once], dtype=torch.float64))
    assert torch.sigmoid(logits).tolist() == pytest.approx([0.8, 0.4, 0.1], abs=1e-12)
    assert probabilities(logits.tolist(), "ordinal") == pytest.approx([0.2, 0.4, 0.3, 0.1], abs=1e-12)


def test_sure_conditional_odds_stay_finite() -> None:
    assert cumulative_logits(torch.tensor([200.0, -200.0, 200.0])).isfinite().all()


@pytest.mark.parametrize(
    ("kind", "classes", "cuts", "expected"),
    [
        ("binary", 2, 0, 1),
        ("multiclass", 5, 0, 5),
        ("multilabel", 1, 0, 1),
        ("ordinal", 5, 0, 4),
        ("regression", 0, 0, 1),
        ("survival", 0, 0, 1),
        ("survival", 0, 7, 7),
    ],
)
def test_a_kind_tells_how_many_logits_there_are(kind: Kind, classes: int, cuts: int, expected: int) -> None:
    assert logit_count(kind, classes, cuts=cuts) == expected
    assert make_classifier(kind, 8, classes, cuts=cuts)(torch.zeros(3, 8)).shape == (3, expected)


@pytest.mark.parametrize(("kind", "cuts"), [("binary", 2), ("regression", 1), ("survival", -1)])
def test_time_bins_are_for_survival_only(kind: Kind, cuts: int) -> None:
    with pytest.raises(UsageError, match=f"a {kind} head can't have {cuts} time bins"):
        logit_count(kind, 2, cuts=cuts)


@pytest.mark.parametrize(
    ("kind", "classes"), [("binary", 3), ("binary", 1), ("multiclass", 1), ("multilabel", 0), ("ordinal", 1)]
)
def test_a_head_with_too_few_or_too_many_classes_is_refused(kind: Kind, classes: int) -> None:
    with pytest.raises(ValueError, match=f"{kind} head can't have {classes}"):
        make_classifier(kind, 8, classes)

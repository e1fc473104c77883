"""Losses and predictions against sums by hand, closed forms and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from wsi.mil import Kind
from wsi.train.survival import Ties, base_logits, cox_loss, discrete_loss
from wsi.train.tasks import Task, fitted, is_known, loss_mass, loss_sum, predict

Floats = NDArray[np.float64]
NAN = float("nan")
RNG = np.random.default_rng(3)
GRADES = ("low", "mid", "high", "top")
# Therneau and Grambsch 2000, appendix E.1: times, events, x.
TIMES, EVENTS, X = [1.0, 1, 6, 6, 8, 9], [True, False, True, True, False, True], [1.0, 1, 1, 0, 0, 0]


def rows(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def sigmoid(x: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-x))
    return found


def mean_loss(logits: Floats, labels: torch.Tensor, task: Task) -> float:
    return float(loss_sum(torch.tensor(logits), labels, task)) / loss_mass(labels, task)


def cox_by_hand(beta: float, ties: Ties) -> float:
    """Return the log partial likelihood, as the appendix gives it."""
    r = math.exp(beta)
    second = math.log(r + 3) if ties == "breslow" else math.log(r / 2 + 5 / 2)
    return 2 * beta - math.log(3 * r + 3) - math.log(r + 3) - second


def test_binary_loss_is_the_log_loss() -> None:
    logits, labels = RNG.normal(0, 2, (9, 1)), np.array([0, 1] * 4 + [1])
    expected = log_loss(labels, sigmoid(logits[:, 0]))
    found = mean_loss(logits, rows(labels.tolist()), Task("binary", ("a", "b")))
    assert found == pytest.approx(expected, rel=1e-6)


def test_multiclass_loss_with_class_weights_is_the_weighted_log_loss() -> None:
    logits, labels = RNG.normal(0, 2, (8, 3)), np.array([0, 1, 2, 2, 2, 0, 1, 2])
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    weights = np.array([0.5, 2.0, 1.25])
    expected = log_loss(labels, shares, sample_weight=weights[labels])
    task = Task("multiclass", ("a", "b", "c"), weights=tuple(weights))
    assert mean_loss(logits, rows(labels.tolist()), task) == pytest.approx(expected, rel=1e-6)


def test_ordinal_loss_is_the_likelihood_of_the_predicted_probabilities() -> None:
    logits, labels = np.sort(RNG.normal(0, 2, (8, 3)))[:, ::-1].copy(), np.array([0, 1, 2, 3, 3, 2, 1, 0])
    edges = np.concatenate([np.ones((8, 1)), sigmoid(logits), np.zeros((8, 1))], axis=1)
    expected = -np.log((edges[:, :-1] - edges[:, 1:])[np.arange(8), labels]).mean()
    task = Task("ordinal", GRADES)
    assert mean_loss(logits, rows(labels.tolist()), task) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(predict(torch.tensor(logits), task), edges[:, :-1] - edges[:, 1:], atol=1e-12)


def test_ordinal_loss_of_crossed_cuts_is_finite_and_parts_them() -> None:
    logits = torch.tensor([[0.0, 0.5, -1.0]], requires_grad=True)
    loss = loss_sum(logits, rows([1.0]), Task("ordinal", GRADES))
    loss.backward()
    assert math.isfinite(loss.item())
    assert logits.grad is not None
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1]


def test_corn_loss_is_the_likelihood_of_the_predicted_probabilities() -> None:
    logits, labels = RNG.normal(0, 2, (8, 3)), np.array([0, 1, 2, 3, 3, 2, 1, 0])
    above = np.cumprod(sigmoid(logits), axis=1)  # P(above k)
    edges = np.concatenate([np.ones((8, 1)), above, np.zeros((8, 1))], axis=1)
    shares = edges[:, :-1] - edges[:, 1:]
    task = Task("ordinal", GRADES, link="corn")
    expected = -np.log(shares[np.arange(8), labels]).mean()
    assert mean_loss(logits, rows(labels.tolist()), task) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(predict(torch.tensor(logits), task), shares, atol=1e-6)


def test_multilabel_loss_leaves_missing_classes_out() -> None:
    logits = np.array([[0.3, -1.0], [2.0, 0.5], [-0.7, 0.1]])
    labels = torch.tensor([[1.0, NAN], [0.0, 1.0], [NAN, NAN]], dtype=torch.float64)
    chances = sigmoid(logits)
    expected = -(np.log(chances[0, 0]) + np.log(1 - chances[1, 0]) + np.log(chances[1, 1])) / 3
    assert mean_loss(logits, labels, Task("multilabel", ("a", "b"))) == pytest.approx(expected, rel=1e-6)


def test_regression_is_learned_in_standard_units_and_told_in_its_own() -> None:
    labels = np.array([[10.0], [14.0], [NAN]])
    task = Task("regression", center=12.0, scale=2.0)
    logits = np.array([[0.0], [0.5], [9.0]])
    assert mean_loss(logits, torch.tensor(labels), task) == pytest.approx((1 + 0.25) / 2)
    assert predict(torch.tensor(logits), task)[:, 0].tolist() == [12.0, 13.0, 30.0]


@pytest.mark.parametrize(("ties", "best"), [("breslow", 1.475285), ("efron", 1.676857)])
def test_cox_loss_is_the_published_closed_form(ties: Ties, best: float) -> None:
    def loss(beta: float) -> float:
        hazards = beta * torch.tensor(X, dtype=torch.float64) + 5.0  # a shift of all changes nothing
        return float(cox_loss(hazards, torch.tensor(TIMES), torch.tensor(EVENTS), ties=ties))

    for beta in (-1.0, 0.0, 2.5):
        assert loss(beta) == pytest.approx(-cox_by_hand(beta, ties), rel=1e-9)
    assert minimize_scalar(loss, bounds=(0, 4), method="bounded", options={"xatol": 1e-8}).x == pytest.approx(
        best, abs=2e-6
    )


def test_cox_loss_of_a_batch_without_events_is_zero_and_has_a_gradient() -> None:
    logits = torch.zeros(3, 1, requires_grad=True)
    labels = torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]], dtype=torch.float64)
    loss = loss_sum(logits, labels, Task("survival"))
    loss.backward()
    assert (loss.item(), loss_mass(labels, Task("survival"))) == (0.0, 0.0)


def test_cox_loss_holds_for_large_hazards() -> None:
    hazards = torch.tensor([500.0, -500.0, 0.0])
    found = cox_loss(hazards, torch.tensor([1.0, 2.0, 3.0]), torch.tensor([True, True, True]))
    assert float(found) == pytest.approx(500.0)  # only the second event was unlikely: log(e^0 / e^-500)


def test_discrete_loss_is_a_sum_by_hand() -> None:
    logits = np.array([[0.2, -0.4, 1.0], [1.5, 0.3, -0.2], [0.1, 0.2, 0.3], [-1.0, 2.0, 0.5]])
    h = sigmoid(logits)
    times, events = [2.0, 5.0, 4.0, 11.0], [True, False, True, False]
    expected = -(
        np.log(h[0, 0])  # in (…, 2]
        + np.log(1 - h[1, 0])  # lost in (2, 10]: lived through the first bin
        + np.log(1 - h[2, 0])
        + np.log(h[2, 1])  # in (2, 10]
        + np.log(1 - h[3, :2]).sum()  # lost after 10
    )
    found = discrete_loss(
        torch.tensor(logits), torch.tensor(times), torch.tensor(events), edges=torch.tensor([2.0, 10.0])
    )
    assert float(found) == pytest.approx(expected, rel=1e-9)
    said = predict(torch.tensor(logits), Task("survival", edges=(2.0, 10.0)))
    np.testing.assert_allclose(said, np.cumprod(1 - h, axis=1), rtol=1e-9)


def test_base_logits_are_events_over_survivors_of_each_bin() -> None:
    times, events = torch.tensor([2.0, 5.0, 4.0, 11.0, 10.0]), torch.tensor([True, False, True, False, True])
    found = base_logits(times, events, edges=torch.tensor([2.0, 10.0]))
    # (..., 2]: 1 event, 4 lived through; (2, 10]: 2 events, 1 lived through; beyond: nobody is known to have done either
    np.testing.assert_allclose(found.numpy(), np.log([1.5 / 4.5, 2.5 / 1.5, 1.0]), rtol=1e-6)


@pytest.mark.parametrize("edges", [(), (2.5, 6.0)])
def test_survival_loss_leaves_out_cases_without_time_or_event(edges: tuple[float, ...]) -> None:
    task = Task("survival", edges=edges)
    logits = torch.tensor(RNG.normal(0, 1, (8, task.outputs)))
    labels = torch.tensor([*zip(TIMES, EVENTS, strict=True), (NAN, 1.0), (3.0, NAN)], dtype=torch.float64)
    assert loss_sum(logits, labels, task) == loss_sum(logits[:6], labels[:6], task)
    assert loss_mass(labels, task) == loss_mass(labels[:6], task) == (4.0 if not edges else 6.0)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "ordinal", "regression"])
def test_missing_labels_add_nothing(kind: Kind) -> None:
    classes = {"binary": GRADES[:2], "regression": ()}.get(kind, GRADES)
    task = Task(kind, classes)
    logits = torch.tensor(RNG.normal(0, 1, (4, task.outputs)))
    labels = rows([0.0, NAN, 1.0, NAN])
    assert is_known(labels.numpy(), task).tolist() == [True, False, True, False]
    assert loss_sum(logits, labels, task) == loss_sum(logits[::2], labels[::2], task)
    assert loss_mass(labels, task) == 2.0
    assert loss_sum(logits[1::2], labels[1::2], task).item() == 0.0


def test_balanced_weights_let_every_class_count_alike() -> None:
    labels = np.array([[0.0], [0.0], [0.0], [1.0], [NAN]])
    assert fitted(Task("binary", ("a", "b")), labels, balanced=True).weights == pytest.approx((4 / 6, 4 / 2))
    absent = fitted(Task("multiclass", ("a", "b", "c")), labels, balanced=True).weights
    assert absent == pytest.approx((4 / 6, 4 / 2, 1.0))
    many = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, NAN]])
    assert fitted(Task("multilabel", ("a", "b")), many, balanced=True).weights == pytest.approx((1.0, 1.0))
    assert fitted(Task("multilabel", ("a", "b")), many[1:], balanced=True).weights == pytest.approx((2.0, 1.0))


@pytest.mark.parametrize(
    ("kind", "classes", "edges", "expected"),
    [
        ("binary", GRADES[:2], (), (1, 1)),
        ("multiclass", GRADES, (), (4, 1)),
        ("multilabel", GRADES, (), (4, 4)),
        ("ordinal", GRADES, (), (3, 1)),
        ("regression", (), (), (1, 1)),
        ("survival", (), (), (1, 2)),
        ("survival", (), (1.0, 2.0), (3, 2)),
    ],
)
def test_task_knows_its_widths(
    kind: Kind, classes: tuple[str, ...], edges: tuple[float, ...], expected: tuple[int, int]
) -> None:
    task = Task(kind, classes, edges=edges)
    assert (task.outputs, task.columns) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "binary", "classes": GRADES},
        {"kind": "ordinal", "classes": ("one",)},
        {"kind": "ordinary"},
        {"kind": "binary", "classes": ("a", "b"), "weights": (1.0,)},
        {"kind": "survival", "edges": (2.0, 1.0)},
    ],
)
def test_task_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"can't have|is none of|weights for|must rise"):
        Task(**wrong)  # type: ignore[arg-type]

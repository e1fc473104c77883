"""What a head must beat: the mean of a case's tiles and one linear layer, on the same folds."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from wsi.train.start import LEAST_STD, Bag
from wsi.train.tasks import Floats, Task, is_known, loss_mass, loss_sum

RIDGES = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
"""Penalties that are tried, as a share of the number of cases; of equals the stronger one."""
DEFAULT_RIDGE = 10.0
"""Where there are no validation cases."""
STEPS = 200
Probe = Callable[[Floats], Floats]


def mean_rows(read: Callable[[int], Bag], cases: int) -> Floats:
    """Return the mean feature of each case, `(cases, D)`."""
    return np.stack([read(i).mean(axis=0, dtype=np.float64) for i in range(cases)])


def fit_probe(rows: Floats, labels: Floats, task: Task, *, train: Sequence[int], validation: Sequence[int]) -> Probe:
    """Return a function from rows `(n, D)` to logits `(n, C)`: logistic, linear or Cox regression with a ridge.

    The ridge is that of least loss on the validation cases.

    Args:
        rows: `(cases, D)`. labels: `(cases, W)`. train, validation: places of cases.
    """
    known = is_known(labels, task)
    train, validation = ([i for i in places if known[i]] for places in (train, validation))
    inputs, wanted = rows[train], torch.from_numpy(labels[train])
    span = Span(inputs)
    judged = torch.from_numpy(labels[validation])
    mass = loss_mass(judged, task)
    found: list[tuple[float, float, Linear]] = []
    for ridge in RIDGES if mass else (DEFAULT_RIDGE,):
        linear = fit_ridge(span.project(inputs), wanted, task, ridge)
        loss = float(loss_sum(linear(span.project(rows[validation])), judged, task)) / mass if mass else 0.0
        found.append((loss, -ridge, linear))
    best = min(found, key=lambda one: one[:2])[2]
    return lambda some: best(span.project(some)).numpy()


class Span:
    """Standardized rows `(n, D)` in as many coordinates K as they span, which hold the whole answer: a ridge keeps the
    weights there."""

    def __init__(self, rows: Floats, *, least: float = 1e-9) -> None:
        """Take the rows, and below which share of the largest an axis is none."""
        self.mean, std = rows.mean(axis=0), rows.std(axis=0)
        self.std = np.where(std > LEAST_STD, std, 1.0)
        _, sizes, axes = np.linalg.svd((rows - self.mean) / self.std, full_matrices=False)
        self.axes = axes[sizes > least * max(sizes.max(initial=0.0), 1e-30)]  # (K, D)

    def project(self, rows: Floats) -> Tensor:
        """Return rows `(n, D)` as `(n, K)`."""
        return torch.from_numpy((rows - self.mean) / self.std @ self.axes.T)

    def arrays(self, linear: "Linear") -> tuple[Floats, Floats]:
        """Return the weights `(D, C)`, or `(D, 1)`, on rows as they were and the biases `(C,)`."""
        weights, bias = linear.arrays()
        weights = self.axes.T @ weights / self.std[:, None]
        return weights, bias - self.mean @ weights


class Linear:
    """Weights `(K, C)`, or `(K, 1)` for all cuts of ordered grades, and biases `(C,)`."""

    def __init__(self, inputs: int, task: Task) -> None:
        outputs = task.outputs
        shared = task.kind == "ordinal"
        self.weight = torch.zeros(inputs, 1 if shared else outputs, dtype=torch.float64, requires_grad=True)
        start = torch.linspace(1, -1, outputs, dtype=torch.float64) if shared and outputs > 1 else None
        bias = torch.zeros(outputs, dtype=torch.float64) if start is None else start
        self.bias = bias.requires_grad_()

    def arrays(self) -> tuple[Floats, Floats]:
        """Return weights and biases."""
        return self.weight.detach().numpy(), self.bias.detach().numpy()

    def logits(self, rows: Tensor) -> Tensor:
        return rows @ self.weight + self.bias  # (n, C)

    def __call__(self, rows: Tensor) -> Tensor:
        with torch.no_grad():
            return self.logits(rows)


def fit_ridge(rows: Tensor, labels: Tensor, task: Task, ridge: float, *, offset: Tensor | None = None) -> Linear:
    """Return the penalized maximum likelihood, by L-BFGS from nothing.

    Args:
        rows: `(n, K)` float64. labels: `(n, W)`. ridge: penalty on the squared weights, as that of so many cases.
        offset: `(n, C)`, a part of the logits that stays as it is.
    """
    linear, mass = Linear(rows.shape[1], task), loss_mass(labels, task) or 1.0
    fixed = torch.zeros(1, 1, dtype=torch.float64) if offset is None else offset
    optimizer = torch.optim.LBFGS(
        [linear.weight, linear.bias], max_iter=STEPS, tolerance_grad=1e-7, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (
            loss_sum(linear.logits(rows) + fixed, labels, task) / mass
            + ridge / len(rows) * (linear.weight**2).sum() / 2
        )
        torch.autograd.backward(loss)
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return linear

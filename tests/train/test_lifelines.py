"""Cox regression and the concordance beside those of lifelines, where it is installed."""

import numpy as np
import pytest
import torch

from wsi.evaluate import concordance
from wsi.train.probe import fit_ridge
from wsi.train.tasks import Floats, Task

lifelines, pandas = pytest.importorskip("lifelines"), pytest.importorskip("pandas")


def drawn(n: int = 120) -> tuple[Floats, Floats]:
    """Return rows `(n, 3)` and times with events `(n, 2)`; times are rounded, so many are tied."""
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(n, 3))
    times = np.ceil(rng.exponential(8 * np.exp(-rows @ [1.0, -0.5, 0.0])))
    return rows, np.stack([times, rng.random(n) < 0.7], axis=1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # pandas' own
def test_cox_regression_with_many_ties_has_the_same_weights() -> None:
    rows, labels = drawn()
    ours = fit_ridge(torch.from_numpy(rows), torch.from_numpy(labels), Task("survival", ties="efron"), 1e-12)
    frame = pandas.DataFrame(np.hstack([rows, labels]), columns=["a", "b", "c", "time", "event"])
    theirs = lifelines.CoxPHFitter().fit(frame, "time", "event").params_
    assert ours.arrays()[0][:, 0] == pytest.approx(theirs.to_numpy(), abs=1e-4)


def test_concordance_is_the_same() -> None:
    rows, labels = drawn()
    risk = rows[:, 0].round(1)
    figure = concordance(labels[:, 0], labels[:, 1], risk=risk)
    assert figure.value == pytest.approx(
        lifelines.utils.concordance_index(labels[:, 0], -risk, labels[:, 1]), abs=1e-12
    )

"""Small tensors are faster on one thread, and few draws than many."""

from collections.abc import Iterator
from functools import partial

import pytest
import torch

from wsi import evaluate


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bootstrap intervals of the figures from 60 draws: these tests are of training."""
    monkeypatch.setattr(evaluate, "bootstrap_interval", partial(evaluate.bootstrap_interval, rounds=60))

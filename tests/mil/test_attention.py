"""Softmax attention: padded batches, and blocks of bags of any size."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.traps import environment
from wsi.errors import EmptyBagError
from wsi.mil import RunningAttention, attend, attention_weights

MILLION = Path(__file__).with_name("million.py")
Floats = NDArray[np.float64]


def softmax(scores: Floats) -> Floats:
    """Return plain softmax, in float64."""
    weights = np.exp(scores - scores.max())
    found: Floats = weights / weights.sum()
    return found


def in_blocks(
    scores: Floats, values: Floats, cuts: list[int], dtype: torch.dtype = torch.float64
) -> tuple[Floats, Floats]:
    """Attend to a bag cut at the given places."""
    edges = [0, *sorted(min(cut, len(scores)) for cut in cuts), len(scores)]
    blocks = [
        (torch.tensor(scores[a:b], dtype=dtype), torch.tensor(values[a:b], dtype=dtype)) for a, b in pairwise(edges)
    ]
    embedding, attention = attend(blocks)
    return embedding.numpy(), attention.numpy()


def test_attention_of_odds_one_to_three_is_a_quarter_and_three_quarters() -> None:
    scores = torch.log(torch.tensor([[1.0, 3.0]], dtype=torch.float64))
    assert torch.allclose(attention_weights(scores), torch.tensor([[0.25, 0.75]], dtype=torch.float64), atol=1e-15)
    embedding, attention = attend(
        [(scores[0, :1], torch.tensor([[8.0, 0.0]])), (scores[0, 1:], torch.tensor([[0.0, 4.0]]))]
    )
    assert embedding.tolist() == pytest.approx([2.0, 3.0], abs=1e-12)
    assert attention.tolist() == pytest.approx([0.25, 0.75], abs=1e-12)


def test_padding_gets_no_attention_and_each_bag_sums_to_one() -> None:
    rng = np.random.default_rng(0)
    scores, mask = torch.from_numpy(rng.normal(0, 5, (6, 40))), torch.from_numpy(rng.random((6, 40)) < 0.4)
    found = attention_weights(scores, mask)
    assert (found[~mask] == 0).all()
    assert torch.allclose(found.sum(dim=1), torch.ones(6, dtype=torch.float64), atol=1e-12)
    for row, real, attention in zip(scores.numpy(), mask.numpy(), found.numpy(), strict=True):
        assert np.allclose(attention[real], softmax(row[real]), atol=1e-14)


@pytest.mark.parametrize(
    ("scores", "mask"),
    [
        (torch.zeros(2, 0), None),
        (torch.zeros(1, 3), torch.zeros(1, 3, dtype=torch.bool)),
        (torch.zeros(2, 3), torch.tensor([[True, False, True], [False, False, False]])),
    ],
    ids=["no tiles", "all masked", "one of two all masked"],
)
def test_a_bag_without_a_real_tile_is_refused(scores: torch.Tensor, mask: torch.Tensor | None) -> None:
    with pytest.raises(EmptyBagError, match="no tile") as caught:
        attention_weights(scores, mask)
    assert caught.value.code == "E_EMPTY_BAG"


@pytest.mark.parametrize("blocks", [[], [(torch.zeros(0), torch.zeros(0, 4))]], ids=["no block", "an empty block"])
def test_blocks_without_a_tile_are_refused(blocks: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    with pytest.raises(EmptyBagError):
        attend(blocks)
    with pytest.raises(EmptyBagError):
        RunningAttention().weights(torch.zeros(0))


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 60),
    spread=st.sampled_from([0.01, 1.0, 30.0, 3000.0]),
    cuts=st.lists(st.integers(0, 60), max_size=8),
    order=st.sampled_from(["as drawn", "rising", "falling"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_blocks_of_any_size_give_plain_softmax(n: int, spread: float, cuts: list[int], order: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, values = rng.normal(0, spread, n), rng.normal(0, 1, (n, 5))
    if order != "as drawn":
        scores = np.sort(scores) if order == "rising" else -np.sort(-scores)
    embedding, attention = in_blocks(scores, values, cuts)
    assert np.allclose(attention, softmax(scores), rtol=1e-9, atol=1e-14)
    assert np.allclose(embedding, softmax(scores) @ values, rtol=1e-9, atol=1e-12)
    assert attention.sum() == pytest.approx(1, abs=1e-12)


def test_scores_that_would_overflow_exp_are_weighed_rightly() -> None:
    values = np.array([[1.0], [2.0], [4.0]])
    embedding, attention = in_blocks(np.array([-1e30, 1e5, 1e5]), values, [1, 2], torch.float32)
    assert attention.tolist() == [0.0, 0.5, 0.5]
    assert embedding.tolist() == [3.0]


@pytest.mark.slow
def test_a_million_tiles_take_little_memory_and_give_plain_softmax(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, MILLION], env=environment(tmp_path), capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["tiles"] == 1_000_000
    assert found["extra_bytes"] < 1e9
    assert found["embedding_error"] < 1e-5
    assert found["attention_error"] < 1e-5 / found["tiles"]
    assert found["read_attention_sum"] == pytest.approx(1, abs=1e-5)

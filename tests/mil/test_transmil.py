"""TransMIL and Nyström attention against plain loops in numpy."""

import math

import numpy as np
import pytest
import torch

from tests.mil.heads import Floats, bag, drawn, embed, linear, softmax
from wsi.mil import HeadSpec, nystrom
from wsi.mil.nystrom import pseudo_inverse
from wsi.mil.transmil import PositionGenerator

HEADS, HIDDEN = 2, 8


def layer_norm(w: dict[str, Floats], name: str, x: Floats) -> Floats:
    centered = x - x.mean(axis=-1, keepdims=True)
    scaled = centered / np.sqrt((centered**2).mean(axis=-1, keepdims=True) + 1e-5)
    found: Floats = scaled * w[f"{name}.weight"] + w[f"{name}.bias"]
    return found


def inverse_by_steps(a: Floats) -> Floats:
    z: Floats = a.T / (np.abs(a).sum(axis=0).max() * np.abs(a).sum(axis=1).max())
    one = np.eye(len(a))
    for _ in range(6):
        az = a @ z
        z = z @ (13 * one - az @ (15 * one - az @ (7 * one - az))) / 4
    return z


def attention_by_hand(w: dict[str, Floats], name: str, tokens: Floats, landmarks: int) -> tuple[Floats, Floats]:
    """Return the tokens after one layer and the first token's row, the mean over the heads."""
    x = layer_norm(w, f"{name}.norm", tokens)
    q, k, v = np.split(x @ w[f"{name}.inward.weight"].T, 3, axis=1)
    n, d = len(x), HIDDEN // HEADS
    out, rows = np.zeros_like(x), []
    for head in range(HEADS):
        some = slice(head * d, head * d + d)
        qs, ks, vs = q[:, some] / math.sqrt(d), k[:, some], v[:, some]
        if n <= landmarks:
            weights = softmax(qs @ ks.T)
        else:
            parts = [[i for i in range(n) if i * landmarks // n == s] for s in range(landmarks)]
            q_mean, k_mean = (np.array([m[part].mean(axis=0) for part in parts]) for m in (qs, ks))
            weights = softmax(qs @ k_mean.T) @ inverse_by_steps(softmax(q_mean @ k_mean.T)) @ softmax(q_mean @ ks.T)
        out[:, some] = weights @ vs
        rows.append(weights[0])
    return tokens + linear(w, f"{name}.outward", out), np.mean(rows, axis=0)


def convolve(w: dict[str, Floats], grid: Floats) -> Floats:
    """Return the grid `(s, s, H)` plus its three convolutions, each a sum over the neighbors that there are."""
    side, out = len(grid), grid.copy()
    for place, size in enumerate((7, 5, 3)):
        kernel, bias = w[f"position.convolutions.{place}.weight"], w[f"position.convolutions.{place}.bias"]
        for y in range(side):
            for x in range(side):
                out[y, x] += bias
                for dy in range(-(size // 2), size // 2 + 1):
                    for dx in range(-(size // 2), size // 2 + 1):
                        if 0 <= y + dy < side and 0 <= x + dx < side:
                            out[y, x] += kernel[:, 0, dy + size // 2, dx + size // 2] * grid[y + dy, x + dx]
    return out


def by_hand(w: dict[str, Floats], h: Floats, landmarks: int) -> tuple[Floats, Floats]:
    """Return logits `(C,)` and attention `(N,)` of embedded tiles `(N, H)`."""
    n = len(h)
    side = math.ceil(math.sqrt(n))
    tokens = np.concatenate([w["token"][None], h, h[: side * side - n]])
    tokens, _ = attention_by_hand(w, "first", tokens, landmarks)
    tokens[1:] = convolve(w, tokens[1:].reshape(side, side, HIDDEN)).reshape(-1, HIDDEN)
    tokens, row = attention_by_hand(w, "second", tokens, landmarks)
    seen = np.abs(row[1:])
    attention = seen[:n].copy()
    attention[: side * side - n] += seen[n:]
    return linear(w, "classifier", layer_norm(w, "last", tokens[0])), attention / attention.sum()


@pytest.mark.parametrize("n", [1, 2, 4, 7, 12, 16, 30])
@pytest.mark.parametrize("landmarks", [3, 5, 100])
@pytest.mark.parametrize("block", [6, 1000])
def test_a_bag_is_read_as_the_formulas_say(n: int, landmarks: int, block: int) -> None:
    made = HeadSpec("transmil", "multiclass", 3, hidden=HIDDEN, heads=HEADS, landmarks=landmarks)
    head, w = drawn(made, scale=0.4)
    features = bag(n)
    logits, attention = by_hand(w, embed(w, features), landmarks)
    reading = head.read(features, block=block)
    assert np.allclose(reading.logits.numpy(), logits, atol=1e-9)
    assert np.allclose(reading.attention.numpy(), attention, atol=1e-6)


def test_the_iteration_nears_the_inverse() -> None:
    shares = torch.softmax(3 * torch.eye(12, dtype=torch.float64) + torch.rand(12, 12, dtype=torch.float64), dim=-1)
    found = pseudo_inverse(shares, steps=12)
    assert torch.allclose(found, torch.linalg.pinv(shares), atol=1e-8)


def test_matrices_of_a_batch_are_inverted_each_by_itself() -> None:
    shares = torch.softmax(torch.randn(3, 5, 5, generator=torch.Generator().manual_seed(0)).double() * 2, dim=-1)
    alone = torch.stack([pseudo_inverse(one) for one in shares])
    assert torch.allclose(pseudo_inverse(shares), alone, atol=1e-12)


def test_landmarks_of_alike_tokens_give_exact_attention_with_the_exact_inverse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nystrom, "pseudo_inverse", torch.linalg.pinv)
    torch.manual_seed(0)
    made = nystrom.NystromAttention(HIDDEN, heads=HEADS, landmarks=4).double()
    exact = nystrom.NystromAttention(HIDDEN, heads=HEADS, landmarks=12).double()
    exact.load_state_dict(made.state_dict())
    tokens = torch.randn(1, 4, HIDDEN, dtype=torch.float64).repeat_interleave(3, dim=1)  # a landmark, three alike
    with torch.no_grad():
        assert torch.allclose(made(tokens), exact(tokens), atol=1e-9)


def test_one_convolution_stands_for_three_and_the_tile_itself() -> None:
    torch.manual_seed(0)
    made = PositionGenerator(5).double()
    tiles = torch.randn(2, 81, 5, dtype=torch.float64)
    grid = tiles.mT.reshape(2, 5, 9, 9)
    with torch.no_grad():
        expected = grid + sum(one(grid) for one in made.convolutions)
        assert torch.allclose(made(tiles), expected.flatten(2).mT, atol=1e-12)
        made.mix_in_place(tiles[0])
    assert torch.allclose(tiles[0], expected[0].flatten(1).T, atol=1e-12)

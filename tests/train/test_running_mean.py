"""The running mean of a network's weights: a sum by hand, counts of now, and no mean at all."""

import torch
from torch import nn

from wsi.train.running_mean import remember


class Counted(nn.Module):
    """One weight and one count."""

    count: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("count", torch.tensor(0))


def means_of(weights: list[float], *, keep: float) -> tuple[float, int]:
    network = Counted()
    mean = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for step, weight in enumerate(weights, 1):
        with torch.no_grad():
            network.weight.fill_(weight)
            network.count.fill_(step)
        remember(mean, network, keep=keep, steps=step)
    return float(mean["weight"]), int(mean["count"])


def test_first_weights_are_soon_forgotten() -> None:
    """Over the first steps 2/11, 3/12, 4/13 of the mean stay: 9/11, then 3/4 of 2 more, then 9/13 of 3."""
    expected = 0.0
    for left, weight in ((2 / 11, 1.0), (3 / 12, 2.0), (4 / 13, 3.0)):
        expected = left * expected + (1 - left) * weight
    assert abs(means_of([1.0, 2.0, 3.0], keep=0.99)[0] - expected) < 1e-6


def test_share_that_a_step_leaves_is_at_most_keep() -> None:
    assert abs(means_of([4.0], keep=0.1)[0] - 0.9 * 4) < 1e-6


def test_without_keeping_the_mean_is_the_weights_of_now_to_the_bit() -> None:
    assert means_of([0.1, 0.7, 1 / 3], keep=0.0) == (float(torch.tensor(1 / 3)), 3)

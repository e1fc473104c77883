"""Claims about networks of masks that vote."""

import numpy as np
import pytest
import torch

from wsi.segment.infer import Reading, probabilities
from wsi.segment.unet import UNet, UNetSpec, make_unet
from wsi.segment.vote import Vote, empty_network, voting

SPEC = UNetSpec(2, 1, 3, widths=(4, 6))


def drawn(count: int) -> list[UNet]:
    return [make_unet(SPEC, seed=seed).eval() for seed in range(count)]


def test_vote_is_the_mean_of_the_members_probabilities() -> None:
    members = drawn(3)
    values = np.random.default_rng(0).normal(size=(1, 20, 28)).astype(np.float32)
    reading = Reading((16, 16), 0.5, flips=(1,), batch=2)
    each = [probabilities(member, values, reading) for member in members]
    assert np.abs(each[0] - each[1]).max() > 0.1
    assert np.allclose(probabilities(Vote(members), values, reading), np.mean(each, axis=0), atol=1e-6)


def test_scores_of_any_size_give_finite_votes() -> None:
    members = drawn(2)
    with torch.no_grad():
        for member, bias in zip(members, ([3e4, -3e4, 0.0], [-3e4, 3e4, 0.0]), strict=True):
            member.score.load_state_dict({"weight": member.score.weight, "bias": torch.tensor(bias)})
        said = Vote(members)(torch.zeros(1, 1, 8, 8)).softmax(1)
    assert said[0, :, 0, 0].tolist() == pytest.approx([0.5, 0.5, 0.0])


def test_a_single_member_is_itself() -> None:
    (one,) = drawn(1)
    assert voting([one]) is one


def test_empty_network_names_the_weights_of_those_that_vote() -> None:
    wanted = {name: tensor.shape for name, tensor in voting(drawn(2)).state_dict().items()}
    found = empty_network(SPEC, members=2).state_dict()
    assert {name: tensor.shape for name, tensor in found.items()} == wanted
    assert all(tensor.is_meta for tensor in found.values())
    assert {name.split(".down")[0] for name in wanted if ".down" in name} == {"members.0", "members.1"}

"""Claims about the loss of masks, against sums by hand."""

import math

import pytest
import torch

from wsi.segment.loss import IGNORED, SMOOTH, mask_loss, soft_dice


def test_right_and_sure_costs_nothing_wrong_and_sure_costs_much() -> None:
    labels = torch.tensor([[[0, 1], [1, 0]]])
    sure = 40.0 * torch.nn.functional.one_hot(labels, 2).movedim(-1, 1).float()
    assert float(mask_loss(sure, labels)) == pytest.approx(0, abs=1e-6)
    assert float(mask_loss(sure, 1 - labels)) > 40


def test_undecided_scores_give_the_sums_by_hand() -> None:
    labels = torch.tensor([[[0, 1], [1, 1]]])
    # p = 1/2 everywhere: cross-entropy log 2; Dice (2 * 1.5 + 1) / (2 + 3 + 1)
    expected = math.log(2) + 1 - (3 + SMOOTH) / (5 + SMOOTH)
    assert float(mask_loss(torch.zeros(1, 2, 2, 2), labels)) == pytest.approx(expected)


def test_ignored_samples_neither_cost_nor_teach() -> None:
    labels = torch.tensor([[[0, 1], [IGNORED, 1]]])
    scores = torch.zeros(1, 2, 2, 2, requires_grad=True)
    mask_loss(scores, labels).backward()
    assert scores.grad is not None
    assert torch.equal(scores.grad[:, :, 1, 0], torch.zeros(1, 2))
    changed = scores.detach().clone()
    changed[:, 1, 1, 0] = 9.0
    assert float(mask_loss(changed, labels)) == pytest.approx(float(mask_loss(scores.detach(), labels)))


def test_all_ignored_is_finite() -> None:
    loss = mask_loss(torch.zeros(1, 3, 2, 2), torch.full((1, 2, 2), IGNORED))
    assert float(loss) == 0.0


def test_a_structure_nobody_marks_and_nobody_sees_is_right() -> None:
    shares = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 4, 4)
    found = soft_dice(shares, torch.zeros(1, 4, 4, dtype=torch.long), torch.ones(1, 4, 4, dtype=torch.bool))
    assert float(found) == 1.0

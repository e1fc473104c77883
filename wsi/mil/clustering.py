"""CLAM's instance-level clustering: the most attended tiles speak for a class, the least attended against it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from wsi.mil.head import HeadSpec

MARGIN = 1.0
"""What a wrong class must fall short by; with a temperature of 1, as in the paper's experiments."""


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """What tiles of bags are taken for by each class, all `(B, t, K)`.

    tiles: places in the bag; targets: 1 for the class, 0 against it; counts: bool, False fills up where a bag and class
    have fewer.
    """

    tiles: Tensor
    targets: Tensor
    counts: Tensor


class InstanceClusters(nn.Module):
    """Two scores of a tile for each class, against it and for it, and how well they fit the attention.

    Source: Lu et al. 2021, "Instance-level clustering".
    """

    def __init__(self, spec: HeadSpec) -> None:
        super().__init__()
        self.spec = spec
        self.classifier = nn.Linear(spec.hidden, 2 * spec.classes)

    def forward(self, embedded: Tensor) -> Tensor:
        scores: Tensor = self.classifier(embedded)  # (..., 2 K)
        return scores.reshape(*scores.shape[:-1], self.spec.classes, 2)  # (..., K, 2)

    def loss(self, embedded: Tensor, *, real: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over the bags of their clustering loss times its weight, a scalar.

        A bag's is the mean over the classes that it is or isn't of; a class's the mean over its pseudo-labels.

        Args:
            embedded: `(B, N, H)`.
            real: `(B, N)` bool.
            scores: `(B, N, M)` of the attention, M = 1 for all classes or K; no gradient flows to them.
            labels: `(B, 1)` place of the class, or `(B, K)` 0 and 1; NaN where unknown: it adds nothing.
        """
        pseudo = pseudo_labels(scores, _claims(labels, self.spec), real=real, count=self.spec.instances)
        places = pseudo.tiles[..., None].expand(-1, -1, -1, 2)  # (B, t, K, 2)
        losses = instance_loss(self(embedded).gather(1, places), pseudo.targets, self.spec)  # (B, t, K)
        classes = _mean(losses, pseudo.counts)  # (B, K)
        return self.spec.instance_weight * _mean(classes, pseudo.counts.any(dim=1)).mean()


def _claims(labels: Tensor, spec: HeadSpec) -> Tensor:
    """Return for each bag and class whether the bag is of it, `(B, K)` 1 or 0; NaN where that is unknown."""
    if spec.kind == "multilabel":
        return labels
    told = (labels == torch.arange(spec.classes, device=labels.device)).to(labels.dtype)  # (B, K)
    return told.masked_fill(labels.isnan(), torch.nan)


def _mean(values: Tensor, counts: Tensor) -> Tensor:
    """Return the mean over dim 1 of those that count; 0 where none does."""
    return values.where(counts, 0.0).sum(dim=1) / counts.sum(dim=1).clamp(min=1)


def pseudo_labels(scores: Tensor, claims: Tensor, *, real: Tensor, count: int) -> PseudoLabels:
    """Return the pseudo-labels of bags' tiles.

    Of a class that the bag is of, the `count` most attended tiles are for it and the `count` least attended against
    it; of one that it isn't of, the most attended are against it. A bag of fewer than twice as many tiles gives half.

    Args:
        scores: `(B, N, M)` of the attention, M = 1 for all classes or one a class.
        claims: `(B, K)` whether the bag is of each class; NaN: unknown, nothing counts.
        real: `(B, N)` bool.

    Source: Lu et al. 2021, "Instance-level clustering".
    """
    hidden = scores.masked_fill(~real[..., None], -torch.inf).expand(-1, -1, claims.shape[1])
    order = torch.argsort(hidden, dim=1, descending=True)  # (B, N, K), padding last
    sizes = real.sum(dim=1)[:, None, None]  # (B, 1, 1)
    counts = (sizes // 2).clamp(max=count)
    steps = torch.arange(int(counts.max()), device=scores.device)[None, :, None]  # (1, t / 2, 1)
    most = order[:, : steps.shape[1]]  # (B, t / 2, K)
    least = order.gather(1, (sizes - counts + steps).clamp(max=order.shape[1] - 1).expand_as(most))
    is_of = (claims == 1)[:, None].expand_as(most)
    given = (steps < counts).expand_as(most)
    return PseudoLabels(
        torch.cat([most, least], dim=1),
        torch.cat([is_of, torch.zeros_like(is_of)], dim=1).long(),
        torch.cat([given & ~claims.isnan()[:, None], given & is_of], dim=1),
    )


def instance_loss(scores: Tensor, targets: Tensor, spec: HeadSpec) -> Tensor:
    """Return the losses `(...)` of scores `(..., 2)` for targets `(...)` of 0 and 1.

    smooth-svm: log sum_j exp(MARGIN [j != y] + s_j - s_y), which is cross entropy after each wrong score was raised.

    Source: Berrada et al. 2018, smooth top-k loss with k = 1 and a temperature of 1.
    """
    if spec.instance_loss == "smooth-svm":
        scores = scores + MARGIN * (1 - one_hot(targets, 2))
    return cross_entropy(scores.movedim(-1, 1), targets, reduction="none")

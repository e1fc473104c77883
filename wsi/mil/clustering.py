"""CLAM's instance-level clustering: the most attended tiles speak for a class, the least attended against it."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from wsi.mil.head import HeadSpec

MARGIN = 1.0
"""What a wrong class must fall short by; with a temperature of 1, as in the paper's experiments."""


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """What tiles of a bag are taken for, for one class: tiles `(t,)` places in the bag, targets `(t,)` 1 for it, 0 against."""

    of_class: int
    tiles: Tensor
    targets: Tensor


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

    def loss(
        self, embed: Callable[[Tensor], Tensor], features: Tensor, *, real: Tensor, scores: Tensor, labels: Tensor
    ) -> Tensor:
        """Return the mean over the bags of their clustering loss times its weight, a scalar.

        A bag's is the mean over the classes that it is or isn't of. Only the tiles that get a pseudo-label are embedded
        with a gradient, all at once.

        Args:
            embed: from features `(t, D)` to embedded tiles `(t, H)`.
            features: `(B, N, D)`.
            real: `(B, N)` bool.
            scores: `(B, N, M)` of the attention, M = 1 for all classes or K.
            labels: `(B, 1)` place of the class, or `(B, K)` 0 and 1; NaN where unknown: it adds nothing.
        """
        kept = [(bag[keep], score[keep]) for bag, keep, score in zip(features, real, scores, strict=True)]
        chosen = [
            list(pseudo_labels(score, _claims(label, self.spec), count=self.spec.instances))
            for (_, score), label in zip(kept, labels, strict=True)
        ]
        tiles = [bag[pseudo.tiles] for (bag, _), found in zip(kept, chosen, strict=True) for pseudo in found]
        if not tiles:
            return features.new_zeros(())
        tile_scores = iter(self(embed(torch.cat(tiles))).split([len(some) for some in tiles]))  # (t, K, 2) each
        total = features.new_zeros(())
        for found in chosen:
            each = [instance_loss(next(tile_scores)[:, one.of_class], one.targets, self.spec) for one in found]
            total = total + (torch.stack(each).mean() if each else 0.0)
        return self.spec.instance_weight * total / len(features)


def _claims(label: Tensor, spec: HeadSpec) -> list[bool | None]:
    """Return for each class whether the bag is of it; None where that is unknown."""
    told: list[float] = label.tolist()
    if spec.kind == "multilabel":
        return [None if math.isnan(one) else one > 0 for one in told]
    return [None if math.isnan(told[0]) else place == told[0] for place in range(spec.classes)]


def pseudo_labels(scores: Tensor, claims: list[bool | None], *, count: int) -> Iterator[PseudoLabels]:
    """Yield the pseudo-labels of a bag's tiles.

    Of a class that the bag is of, the `count` most attended tiles are for it and the `count` least attended against
    it; of one that it isn't of, the most attended are against it. A bag of fewer than twice as many tiles gives half.

    Args:
        scores: `(n, M)` of the attention, M = 1 for all classes or one a class.
        claims: whether the bag is of each class; None: unknown, nothing is yielded.

    Source: Lu et al. 2021, "Instance-level clustering".
    """
    count = min(count, len(scores) // 2)
    for place, claim in enumerate(claims if count else []):
        if claim is None:
            continue
        order = torch.argsort(scores[:, place % scores.shape[1]], descending=True)  # (n,)
        most, least = order[:count], order[-count:]
        ones, zeros = torch.ones_like(most), torch.zeros_like(most)
        if claim:
            yield PseudoLabels(place, torch.cat([most, least]), torch.cat([ones, zeros]))
        else:
            yield PseudoLabels(place, most, zeros)


def instance_loss(scores: Tensor, targets: Tensor, spec: HeadSpec) -> Tensor:
    """Return the mean loss of scores `(t, 2)` for targets `(t,)` of 0 and 1.

    smooth-svm: log sum_j exp(MARGIN [j != y] + s_j - s_y), which is cross entropy after each wrong score was raised.

    Source: Berrada et al. 2018, smooth top-k loss with k = 1 and a temperature of 1.
    """
    if spec.instance_loss == "smooth-svm":
        scores = scores + MARGIN * (1 - one_hot(targets, 2))
    return cross_entropy(scores, targets)

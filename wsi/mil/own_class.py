"""A classifier whose classes each look at an embedding of their own."""

from torch import Tensor, nn

from wsi.mil.classes import OrderedCuts


def classify_own(layer: nn.Linear | OrderedCuts, pooled: Tensor) -> Tensor:
    """Return w_m^T z_m + b_m, `(..., C)`, of one embedding a class, `(..., M, H)`.

    The cuts of ordered grades share one embedding (M = 1) as they share their weights.
    """
    return (pooled.to(layer.weight.dtype) * layer.weight).sum(dim=-1) + layer.bias  # (..., M) -> (..., C)

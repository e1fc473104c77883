"""What a model's weights file says of the bags that it learned from."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from wsi.card import ModelCard
from wsi.errors import WeightsError
from wsi.mil.familiar import Familiar
from wsi.predict.weights import OOD, sound


def make_familiar(card: ModelCard, tensors: Mapping[str, Tensor], path: Path, *, dim: int) -> Familiar | None:
    """Return what the weights file says of the training bags; None where the card has no rule for it.

    Raises:
        WeightsError: the file and the card don't agree on whether there is a rule, or the arrays on D and K.
    """
    found = [name for name in OOD if name in tensors]
    expected = [] if card.out_of_distribution is None else list(OOD)
    if found != expected:
        raise WeightsError(
            f"{path}: holds {', '.join(found) or 'no ood arrays'}, the card's out_of_distribution "
            f"asks for {', '.join(expected) or 'none'}; get the folder again"
        )
    if card.out_of_distribution is None:
        return None
    mean, axes, scale = (sound(path, name, tensors[name]).double().numpy() for name in OOD)
    if mean.shape != (dim,) or scale.ndim != 1 or not len(scale) or axes.shape != (len(scale), dim):
        raise WeightsError(
            f"{path}: ood.mean {mean.shape}, ood.axes {axes.shape}, ood.scale {scale.shape}; "
            f"expected ({dim},), (K, {dim}), (K,)"
        )
    if not (scale > 0).all():
        raise WeightsError(f"{path}: ood.scale must be positive, its least is {scale.min()}")
    return Familiar(mean, axes, scale, card.out_of_distribution.method)

"""The mean of all tiles: the plain neighbor that every other head must beat."""

from torch import Tensor

from wsi.mil.pooled import PooledHead


class MeanPool(PooledHead):
    """Embed the tiles and classify their mean.

    Source: Wang et al. 2018, MI-Net with mean pooling.
    """

    def score(self, embedded: Tensor) -> Tensor:
        """Return the same score for every tile."""
        return embedded.new_zeros(embedded.shape[:-1])

"""Ranks against SciPy's."""

import numpy as np
import pytest
from scipy.stats import rankdata

from wsi.evaluate.ranks import mean_ranks


@pytest.mark.parametrize("values", [1, 7, 1000])
def test_ranks_are_those_of_scipy(values: int) -> None:
    drawn = np.random.default_rng(values).integers(-values, values, size=300) / 7
    np.testing.assert_array_equal(mean_ranks(drawn), rankdata(drawn))
    assert len(mean_ranks([])) == 0

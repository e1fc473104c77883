"""Errors and correlations equal scikit-learn's and SciPy's, and say why where there are none."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from wsi.evaluate import mae, pearson, r2, rmse, spearman


def test_figures_equal_scikit_learn_and_scipy() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(3, 50))
        y = rng.normal(size=n)
        f = y + rng.normal(size=n)
        if seed % 2:
            y, f = np.round(y), np.round(f)
        if np.ptp(y) == 0 or np.ptp(f) == 0:
            continue
        ours = [one(y, f).value for one in (mae, rmse, r2, pearson, spearman)]
        theirs = [
            metrics.mean_absolute_error(y, f),
            metrics.root_mean_squared_error(y, f),
            metrics.r2_score(y, f),
            stats.pearsonr(y, f).statistic,
            stats.spearmanr(y, f).statistic,
        ]
        assert ours == pytest.approx(theirs, abs=1e-9)


def test_what_is_not_estimable_says_why() -> None:
    assert mae([], []).reason == "there is no case"
    assert mae([1.0], [2.0]).value == 1.0
    assert r2([1.0], [2.0]).reason == "there is only one case"
    assert r2([1.0, 1.0], [2.0, 3.0]).reason == "all 2 true values are the same"
    assert pearson([1.0, 2.0], [3.0, 3.0]).reason == "all 2 predictions are the same"
    assert rmse([1.0, np.nan], [3.0, 3.0]).reason == "1 of 2 true values are missing or not finite numbers"
    assert spearman([1.0, 2.0], [3.0, np.inf]).reason == "1 of 2 predictions are missing or not finite numbers"
    with pytest.raises(ValueError, match="must be"):
        mae([1.0], [1.0, 2.0])

"""One class against the others equals scikit-learn's; a class without a case is no silent omission."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.evaluate.draw import classes
from wsi.evaluate import macro_auc, macro_auc_interval, one_vs_rest


def test_macro_auc_equals_scikit_learn() -> None:
    compared = 0
    for seed in range(200):
        drawn = classes(seed)
        if (k := drawn.probabilities.shape[1]) < 3:
            continue
        expected = roc_auc_score(drawn.truth, drawn.probabilities, multi_class="ovr", labels=range(k))
        assert macro_auc(drawn.truth, drawn.probabilities).value == pytest.approx(expected, abs=1e-12)
        compared += 1
    assert compared > 100


def test_interval_holds_the_value_and_each_class_has_its_own() -> None:
    drawn = classes(8)
    figure = macro_auc_interval(drawn.truth, drawn.probabilities)
    assert figure.value is not None
    assert figure.low is not None
    assert figure.high is not None
    assert figure.low < figure.value < figure.high
    alone = one_vs_rest(drawn.truth, drawn.probabilities)
    assert np.mean([one.value for one in alone if one.value is not None]) == pytest.approx(figure.value)


def test_class_without_a_case_is_named() -> None:
    drawn = classes(8)
    k = drawn.probabilities.shape[1]
    rows = drawn.truth != 0
    assert macro_auc(drawn.truth[rows], drawn.probabilities[rows]).reason == f"no case is of class 0 (of {rows.sum()})"
    assert one_vs_rest(drawn.truth[rows], drawn.probabilities[rows])[0].reason.startswith("no case is positive")
    strange = macro_auc(np.append(drawn.truth[1:], k), drawn.probabilities)
    assert "of a class that the model doesn't know" in strange.reason

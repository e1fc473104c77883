"""Confusion, balanced accuracy, F1 and kappa equal scikit-learn's, and say why where there are none."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics

from tests.evaluate.draw import classes
from wsi.evaluate import Figure, accuracy, balanced_accuracy, confusion, f1, kappa, quadratic_kappa


def test_figures_equal_scikit_learn() -> None:
    for seed in range(200):
        drawn = classes(seed)
        y, c, k = drawn.truth, drawn.called, drawn.probabilities.shape[1]
        np.testing.assert_array_equal(confusion(y, c, classes=k), metrics.confusion_matrix(y, c, labels=range(k)))
        ours = [one(y, c, classes=k).value for one in (accuracy, balanced_accuracy, f1, kappa, quadratic_kappa)]
        theirs = [
            metrics.accuracy_score(y, c),
            metrics.balanced_accuracy_score(y, c),
            metrics.f1_score(y, c, average="binary" if k == 2 else "macro"),
            metrics.cohen_kappa_score(y, c),
            metrics.cohen_kappa_score(y, c, weights="quadratic"),
        ]
        assert ours == pytest.approx(theirs, abs=1e-9)


def test_lacking_class_is_named_not_averaged_over() -> None:
    figure = balanced_accuracy([0, 0, 2], [0, 1, 2], classes=3)
    assert figure.value is None
    assert figure.reason == "no case is of class 1 (of 3)"
    assert "no case is of class 1" in f1([0, 0, 2], [0, 1, 2], classes=3).reason
    assert "none was called" in f1([0, 0], [0, 0]).reason
    assert f1([0, 0], [0, 1]).value == 0.0


def test_one_class_called_everywhere_gives_no_kappa() -> None:
    for one in (kappa, quadratic_kappa):
        assert "chance agrees as well" in one([1, 1], [1, 1], classes=2).reason
    assert kappa([0, 1], [1, 1]).value == 0.0


@pytest.mark.parametrize("measure", [accuracy, balanced_accuracy, f1, kappa, quadratic_kappa])
def test_missing_and_strange_labels_are_counted(measure: Callable[..., Figure]) -> None:
    assert measure([0, np.nan], [0, 1], classes=2).reason == "1 of 2 labels are missing"
    assert "of a class that the model doesn't know" in measure([0, 2], [0, 1], classes=2).reason
    assert measure([], [], classes=2).reason == "there is no case"
    assert measure([0, 1], [0, np.nan], classes=2).reason.startswith("called classes: ")


def test_confusion_refuses_what_it_cant_count() -> None:
    with pytest.raises(ValueError, match="truth: 1 of 2 cases are of a class"):
        confusion([0, 5], [0, 1], classes=2)
    with pytest.raises(ValueError, match="must be"):
        confusion([0, 1], [0], classes=2)

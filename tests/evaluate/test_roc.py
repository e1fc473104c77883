"""AUC, average precision and their curves equal scikit-learn's, and say why where there are none."""

import numpy as np
import pytest
from sklearn import metrics

from tests.evaluate.draw import study
from wsi.evaluate import auc, average_precision, precision_recall_curve, roc_curve

SEEDS = range(200)


def test_auc_and_average_precision_equal_scikit_learn() -> None:
    for seed in SEEDS:
        drawn = study(seed)
        assert auc(drawn.labels, drawn.scores).value == pytest.approx(
            metrics.roc_auc_score(drawn.labels, drawn.scores), abs=1e-12
        )
        assert average_precision(drawn.labels, drawn.scores).value == pytest.approx(
            metrics.average_precision_score(drawn.labels, drawn.scores), abs=1e-12
        )


def test_curves_equal_scikit_learn() -> None:
    for seed in SEEDS[:60]:
        drawn = study(seed)
        false, hits, thresholds = metrics.roc_curve(drawn.labels, drawn.scores, drop_intermediate=False)
        curve = roc_curve(drawn.labels, drawn.scores)
        for ours, theirs in ((curve.x, false), (curve.y, hits), (curve.thresholds, thresholds)):
            np.testing.assert_allclose(ours, theirs, atol=1e-12)
        precision, recall, _ = metrics.precision_recall_curve(drawn.labels, drawn.scores)
        pr = precision_recall_curve(drawn.labels, drawn.scores)
        np.testing.assert_allclose(pr.x[::-1], recall[:-1], atol=1e-12)
        np.testing.assert_allclose(pr.y[::-1], precision[:-1], atol=1e-12)


def test_scores_that_all_tie_give_one_half() -> None:
    assert auc([0, 1, 1], [0.3, 0.3, 0.3]).value == 0.5


@pytest.mark.parametrize(
    ("labels", "scores", "reason"),
    [
        ([], [], "there is no case"),
        ([0, 0, 0], [0.1, 0.2, 0.3], "no case is positive (3 negative)"),
        ([1, 1], [0.1, 0.2], "no case is negative (2 positive)"),
        ([0, 1, np.nan], [0.1, 0.2, 0.3], "1 of 3 labels are missing"),
        ([0, 1, 1], [0.1, np.nan, np.inf], "2 of 3 scores are not finite numbers"),
    ],
)
def test_what_is_not_estimable_says_why(labels: list[float], scores: list[float], reason: str) -> None:
    for measure in (auc, average_precision):
        figure = measure(labels, scores)
        assert figure.value is None
        assert figure.reason == reason
        assert figure.n == len(labels)
    assert roc_curve(labels, scores).reason == reason
    assert precision_recall_curve(labels, scores).reason == reason


def test_other_labels_than_0_and_1_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="labels must be 0 or 1, found 2"):
        auc([0, 1, 2], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="must be"):
        auc([0, 1], [0.1, 0.2, 0.3])

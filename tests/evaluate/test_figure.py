"""A figure says its denominator, or why it has no value."""

import math

import pytest

from wsi.evaluate import Figure


def test_text_has_the_interval_and_the_denominator() -> None:
    figure = Figure("AUC", 0.8123, 0.7, 0.9, n=52, count=11, patients=40)
    assert str(figure) == "AUC 0.812 (0.700 to 0.900) [11 of 52, 40 patients]"


def test_figure_without_a_value_says_why() -> None:
    assert "not estimable: no case is positive" in str(Figure.not_estimable("AUC", "no case is positive", n=3))
    with pytest.raises(ValueError, match="says why"):
        Figure("AUC", None)


@pytest.mark.parametrize("ends", [(math.nan, 0.1, 0.2), (0.1, math.inf, 0.2), (0.1, None, 0.2), (None, 0.1, 0.2)])
def test_half_a_figure_is_refused(ends: tuple[float | None, float | None, float | None]) -> None:
    with pytest.raises(ValueError, match=r"finite|two ends"):
        Figure("AUC", *ends, reason="known")

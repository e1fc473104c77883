"""Figures as people read them."""

import pytest

from wsi.export.words import area


@pytest.mark.parametrize(
    ("mm2", "told"), [(0, "0"), (0.0655, "0.066"), (0.5, "0.50"), (4.0426, "4.0"), (9.96, "10"), (83.7, "84")]
)
def test_area_has_two_digits(mm2: float, told: str) -> None:
    assert area(mm2) == f"{told} mm²"

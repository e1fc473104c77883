"""How many windows a run says that it read, beside how many its network was given."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.images.near import run_near
from tests.images.tiny_models import dense, scan
from wsi.segment import infer

SELFTEST = 1
"""Window of the example that a model reads when it is loaded."""


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The windows of each call of a network of masks."""
    counts: list[int] = []
    mean = infer.mirrored_mean

    def counted(network, windows, flips=()):  # type: ignore[no-untyped-def]
        counts.append(len(windows))
        return mean(network, windows, flips)

    monkeypatch.setattr(infer, "mirrored_mean", counted)
    return counts


def read_of(out: Path) -> dict[str, int]:
    (path,) = out.glob("slides/*/result.json")
    found: dict[str, int] = json.loads(path.read_text())["tiles"]
    return found


def test_volume_narrower_than_a_window(given: list[int], tmp_path: Path) -> None:
    model = dense(tmp_path / "boxes", axes=3)
    scan(tmp_path / "in" / "scan.nii.gz", shape=(20, 24, 12))
    tiles = read_of(run_near(tmp_path / "in", tmp_path / "OUT", model))
    assert tiles["wanted"] == tiles["read"] == sum(given) - SELFTEST == 2 * 2 * 1


def test_windows_outside_of_a_round_field_of_view_are_neither_read_nor_told(given: list[int], tmp_path: Path) -> None:
    rows, columns = np.mgrid[:96, :96]
    pixels = np.where(np.hypot(rows - 47.5, columns - 47.5) < 40, 150, 0).astype(np.uint8)
    (tmp_path / "in").mkdir()
    Image.fromarray(pixels).save(tmp_path / "in" / "round.png")
    limits: dict[str, Any] = {"foreground": "field-of-view", "min_foreground": 0.02, "overlap": 0.0}
    model = dense(tmp_path / "spots", axes=2, channels=["gray"], **limits)
    tiles = read_of(run_near(tmp_path / "in", tmp_path / "OUT", model))
    assert tiles["wanted"] == tiles["read"] == sum(given) - SELFTEST == 36 - 4

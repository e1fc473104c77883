"""explanation.png: signed heat as bytes, its strongest at the ends, and damage told."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsi.errors import ArtifactError
from wsi.export.explanation import NAME, read_explanation, write_explanation


def test_strongest_is_an_end_and_nothing_is_128(tmp_path: Path) -> None:
    write_explanation(tmp_path, np.array([[-2.0, -1.0, 0.0, 1.0, 2.0]], np.float32), means="hot")
    found = read_explanation(tmp_path)
    assert found is not None
    assert found.tolist()[0][::2] == [1, 128, 255]
    assert found.tolist()[0][1::2] == [pytest.approx(128 - 63.5, abs=1), pytest.approx(128 + 63.5, abs=1)]


def test_nothing_said_anywhere_is_128_everywhere(tmp_path: Path) -> None:
    write_explanation(tmp_path, np.zeros((3, 4), np.float32), means="hot")
    found = read_explanation(tmp_path)
    assert found is not None
    assert np.array_equal(found, np.full((3, 4), 128, np.uint8))


def test_file_says_that_it_is_no_probability(tmp_path: Path) -> None:
    write_explanation(tmp_path, np.ones((2, 2), np.float32), means="hot")
    with Image.open(tmp_path / NAME) as image:
        assert "speaks for hot" in image.info["Comment"]
        assert "no probability" in image.info["Comment"]
        assert "Research use only" in image.info["Description"]


def test_none_where_there_is_none(tmp_path: Path) -> None:
    assert read_explanation(tmp_path) is None


def test_damage_is_told(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"\x89PNG\r\n\x1a\nrest")
    with pytest.raises(ArtifactError, match="run the image again"):
        read_explanation(tmp_path)
    Image.new("RGB", (2, 2)).save(tmp_path / NAME)
    with pytest.raises(ArtifactError, match="not an explanation"):
        read_explanation(tmp_path)

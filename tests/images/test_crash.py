"""A picture that kills or stops the process which decodes it costs that picture only."""

import os
from pathlib import Path

import pytest
from PIL import Image

from tests.images.command import Ran, run
from tests.images.tiny_models import dense, photograph
from tests.traps import CHECKOUT

HARM = Path(__file__).parent / "harm"
SCALE = [{"op": "scale@1", "factor": 0.00392156862745098}]


@pytest.mark.slow
def test_pictures_that_kill_or_stop_their_decoder_fail_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The harm is done where the picture is opened; a stopped process makes no progress for 4 x stall_s, twice."""
    folder, out = tmp_path / "in", tmp_path / "OUT"
    photograph(folder / "between.png", level=200, gray=True)
    photograph(folder / "last.png", level=200, gray=True)
    Image.new("L", (37, 23), 9).save(folder / "a-kills.png")
    Image.new("L", (41, 23), 9).save(folder / "c-stops.png")
    model = dense(tmp_path / "spots", axes=2, channels=["gray"], preprocess=SCALE)
    (tmp_path / "run.yaml").write_text("engine:\n  stall_s: 2.0\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (HARM, CHECKOUT))))
    status, told = run(folder, "-o", out, "-m", model, "-c", tmp_path / "run.yaml", "-q")
    records = Ran(status, told, out).records
    assert status == 3, told
    assert {path: (record["status"], record["code"]) for path, record in records.items()} == {
        "a-kills.png": ("failed", "E_CRASH"),
        "c-stops.png": ("failed", "E_TIMEOUT"),
        "between.png": ("ok", ""),
        "last.png": ("ok", ""),
    }

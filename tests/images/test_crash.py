"""A picture that kills or stops the process which decodes it costs that picture only."""

import os
from pathlib import Path

import pytest
from PIL import Image

from tests.images.test_river import Ran, run
from tests.images.tiny_models import dense, photograph
from tests.traps import CHECKOUT, PLUGINS

HARM = Path(__file__).parent / "harm"
SCALE = [{"op": "scale@1", "factor": 0.00392156862745098}]


@pytest.mark.parametrize(
    ("harm", "code"),
    [("SIGSEGV", "E_CRASH"), pytest.param("SIGSTOP", "E_TIMEOUT", marks=pytest.mark.slow)],
)
def test_picture_that_stops_its_decoder_fails_and_the_next_is_read(harm: str, code: str, tmp_path: Path) -> None:
    """The harm is done where the picture is opened; a stopped process makes no progress for 4 x stall_s, twice."""
    folder, out = tmp_path / "in", tmp_path / "OUT"
    photograph(folder / "b.png", level=200, gray=True)
    Image.new("L", (37, 23), 9).save(folder / "a.png")
    model = dense(tmp_path / "spots", axes=2, channels=["gray"], preprocess=SCALE)
    (tmp_path / "run.yaml").write_text("engine:\n  stall_s: 4.0\n")
    path = os.pathsep.join(map(str, (HARM, PLUGINS, CHECKOUT)))
    told = {"PYTHONPATH": path, "WSI_TEST_HARM": harm}
    status, text = run(folder, "-o", out, "-m", model, "-c", tmp_path / "run.yaml", "-q", more=told)
    records = Ran(status, text, out).records
    assert status == 3, text
    assert (records["a.png"]["status"], records["a.png"]["code"]) == ("failed", code)
    assert records["b.png"]["status"] == "ok"

"""Decisions through a whole run: exported, left alone by a rerun, and no byte of the run's own is out of place."""

import csv
import gzip
import shutil
from pathlib import Path

import pytest

from tests.flow.conftest import Command
from wsi.results import REVIEW
from wsi.review import log


@pytest.mark.slow
def test_decision_is_exported_and_a_rerun_keeps_it(command: Command, slides: Path, clean: Path, tmp_path: Path) -> None:
    out = tmp_path / "OUT"
    shutil.copytree(clean, out)
    slide = min(path.name for path in (out / "slides").iterdir())
    square = [[300.0, 300.0], [700.0, 300.0], [700.0, 700.0], [300.0, 700.0], [300.0, 300.0]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [square]},
        "properties": {"kind": "drawn", "name": "nest", "class": "malignant"},
    }
    told = {"who": "A. Miller", "slide": slide, "slide_sha256": "", "model_sha256": "", "stage": "final", "verdict": "disagree", "grade": "malignant", "reason": "", "comment": "", "shapes": {"type": "FeatureCollection", "features": [feature]}}  # fmt: skip
    log.append(out, told)
    before = (out / REVIEW / "decisions.jsonl").read_bytes()
    for arguments in (("export", out, "-q"), (slides, "-o", out, "-q")):
        assert command(*arguments).status == 0
        with (out / "predictions.csv").open(newline="") as file:
            row = next(row for row in csv.DictReader(file) if row["id"] == slide)
        assert (row["review_status"], row["review_grade"], row["review_who"]) == ("disagree", "malignant", "A. Miller")
        objects = next((out / "slides" / slide).glob("*.geojson.gz"))
        assert gzip.decompress(objects.read_bytes()).count(b"Drawn 1: nest") == 1
        assert command("verify", out).status == 0
        assert command("audit", "verify", out).stdout.startswith("1 decision, all as written")
    assert (out / REVIEW / "decisions.jsonl").read_bytes() == before

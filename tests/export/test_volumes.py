"""volumes.csv, read back by the csv module."""

import csv
import tracemalloc
from pathlib import Path

import numpy as np

from tests.export.cases import NO_VERDICT, make_case, make_record, make_result
from wsi import card_image
from wsi.export.volumes import write_volumes
from wsi.results import Record, Result, Structure
from wsi.results.mask import Mask, amounts

HEAD = Structure(name="head", color=[1, 2, 3], code="SCT:5366008", samples=1500, amount=1.5, unit="ml")
TAIL = Structure(name="=tail", color=[1, 2, 3], samples=2, amount=0.002, unit="ml")


def marked(slide: str, structures: list[Structure]) -> Result:
    return make_result(None, slide=slide, **{**NO_VERDICT, "structures": structures})


def records_of(out: Path, results: list[Result]) -> list[Record]:
    found = []
    for result in results:
        make_case(out / "slides" / result.slide, result, None)
        record = make_record(result)
        artifacts = {**record.artifacts, "mask.h5": "0" * 64} if result.structures else record.artifacts
        found.append(record.model_copy(update={"artifacts": artifacts}))
    return found


def test_each_structure_of_each_image_has_a_row(tmp_path: Path) -> None:
    write_volumes(tmp_path, records_of(tmp_path, [marked("a", [HEAD, TAIL]), marked("b", [HEAD])]))
    with (tmp_path / "volumes.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["structure"], row["samples"], row["amount"], row["unit"]) for row in rows] == [
        ("a", "head", "1500", "1.5", "ml"), ("a", "'=tail", "2", "0.002", "ml"), ("b", "head", "1500", "1.5", "ml"),
    ]  # fmt: skip
    assert rows[0]["code"] == "SCT:5366008"
    assert rows[0]["notice"] == "Research use only. Not for diagnosis."


def test_counting_a_volume_takes_a_slice_of_memory() -> None:
    labels = np.zeros((200, 200, 200), np.uint8)
    labels[50:60, 20:40, 3] = 2
    mask = Mask(labels, np.eye(4), (1.0, 1.0, 1.0), ("i", "j", "k"), "mm")
    organs = [card_image.Structure(name=name, color=(0, 0, 0), unit="ml") for name in ("liver", "spleen")]
    tracemalloc.start()
    try:
        found = amounts(mask, organs, foreground=1.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [(one.samples, one.amount) for one in found] == [(0, 0.0), (200, 0.2)]
    assert peak < labels.nbytes


def test_without_masks_there_is_no_file_and_an_old_one_goes(tmp_path: Path) -> None:
    (tmp_path / "volumes.csv").write_text("old")
    write_volumes(tmp_path, records_of(tmp_path, [marked("a", [])]))
    assert not (tmp_path / "volumes.csv").exists()

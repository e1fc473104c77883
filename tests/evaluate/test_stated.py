"""The threshold of a run is what its model graded by; runs of two thresholds are not mixed."""

from pathlib import Path

import pytest

from wsi.errors import ArtifactError
from wsi.evaluate.stated import run_threshold
from wsi.results import Result


def write(
    out: Path, name: str, threshold: float | None, grade: str | None = "Malignant", positive: str | None = None
) -> None:
    folder = out / "slides" / name
    folder.mkdir(parents=True)
    result = Result(slide=name, path=f"{name}.svs", status="ok", grade=grade, threshold=threshold, positive=positive)
    (folder / "result.json").write_text(result.model_dump_json())


def test_threshold_is_that_of_the_graded_slides(tmp_path: Path) -> None:
    write(tmp_path, "a", 0.31)
    write(tmp_path, "b", 0.31)
    write(tmp_path, "refused", None, None)
    found = run_threshold(tmp_path)
    assert found is not None
    assert (found.value, found.rule, found.chosen_on) == (0.31, "stated by the card of the run's model", frozenset())


def test_run_without_a_threshold_states_none(tmp_path: Path) -> None:
    assert run_threshold(tmp_path) is None
    write(tmp_path, "a", None)
    assert run_threshold(tmp_path) is None


def test_two_thresholds_or_a_damaged_result_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "a", 0.31)
    write(tmp_path, "b", 0.5)
    with pytest.raises(ArtifactError, match=r"different thresholds \(0.31, 0.5\)"):
        run_threshold(tmp_path)
    (tmp_path / "slides" / "a" / "result.json").write_text("{}")
    with pytest.raises(ArtifactError, match="run the slide again"):
        run_threshold(tmp_path)


def test_threshold_of_the_other_class_is_none(tmp_path: Path) -> None:
    write(tmp_path, "a", 0.31, positive="Malignant")
    assert run_threshold(tmp_path, positive="Benign") is None
    found = run_threshold(tmp_path, positive="Malignant")
    assert found is not None
    assert found.value == 0.31

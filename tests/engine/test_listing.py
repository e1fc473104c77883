"""Which files of OUT a run answers for."""

from pathlib import Path

import pytest

from wsi.engine.finish import is_listed


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("report.html", True),
        ("slides/evaluation/result.json", True),
        ("evaluation/report.html", False),
        ("SHA256SUMS", False),
        ("slides/a/.tmp-1234", False),
        ("slides/a/mask.seg.dcm", False),
    ],
)
def test_evaluation_and_passing_files_are_not_of_the_run(name: str, listed: bool) -> None:
    assert is_listed(Path("OUT", name), Path("OUT")) is listed

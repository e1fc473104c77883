"""The command over a folder of images: its own processes are real, but it starts in this one, which has torch already."""

import csv
import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from wsi.cli.main import _run


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, and the OUT it wrote."""

    status: int
    told: str
    out: Path

    @property
    def records(self) -> dict[str, dict[str, str]]:
        lines = (self.out / "results.jsonl").read_text().splitlines()
        return {record["path"]: record for record in map(json.loads, lines)}

    @property
    def rows(self) -> dict[str, dict[str, str]]:
        with (self.out / "predictions.csv").open(newline="", encoding="utf-8") as file:
            return {row["path"]: row for row in csv.DictReader(file)}

    def folder(self, path: str) -> Path:
        return self.out / "slides" / self.records[path]["slide"]


def run(*arguments: str | Path) -> tuple[int, str]:
    """Run `wsi-run` with some arguments; return its exit status and all that it told."""
    told = io.StringIO()
    with patch.object(sys, "argv", ["wsi-run", *map(str, arguments)]), redirect_stdout(told), redirect_stderr(told):
        status = _run()
    return status, told.getvalue()

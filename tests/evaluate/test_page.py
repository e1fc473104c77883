"""The page: whole in itself, escaped, with a plot for all that can be drawn and a reason for what can't."""

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.evaluate.studies import made, make_study
from wsi.evaluate.page import page
from wsi.evaluate.study import Account
from wsi.evaluate.write import as_json, write_evaluation

PLOTS = {
    "binary": ("ROC", "Precision and recall", "Reliability", "Decision curve", "Confusion", "Risk and coverage", "AUC by subgroup"),
    "multiclass": ("ROC", "Reliability", "Confusion", "Risk and coverage", "Accuracy by subgroup"),
    "ordinal": ("ROC", "Reliability", "Confusion", "Risk and coverage", "Accuracy by subgroup", "Quadratic kappa by subgroup"),
    "regression": ("Predicted and true", "Errors", "MAE by subgroup"),
    "survival": ("Kaplan-Meier", "Brier score over time", "C (Harrell) by subgroup"),
}  # fmt: skip


@pytest.mark.parametrize("kind", PLOTS)
def test_page_has_the_plots_of_its_kind_and_nothing_from_elsewhere(kind: str) -> None:
    text = page(made(make_study(kind), others={"other.csv": make_study(kind, seed=0)}), source="From p.csv.")
    assert re.findall(r"<h3>(.*?)</h3>", text)[: len(PLOTS[kind])] == list(PLOTS[kind])
    assert "<script" not in text
    assert not re.search(r"""(src|href)\s*=|url\(|@import|https?:""", text)
    assert "default-src 'none'" in text
    assert "Research use only" in text
    assert "1: nothing was predicted" in text
    assert "nan" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL).lower().replace("finance", "")
    for drawing in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(drawing)  # our own bytes


def test_every_plot_says_in_words_what_it_shows() -> None:
    text = page(made(make_study("binary")), source="")
    plots = re.findall(r'<svg viewBox="0 0 \d+ \d+" role="img" aria-label="([^"]+)"', text)
    assert len(plots) == 8
    assert any(re.fullmatch(r"ROC curve: Model AUC 0\.\d{3} \(.*\)", one) for one in plots)


def test_card_tells_cases_before_their_patients() -> None:
    study = make_study("multiclass")
    halves = tuple(f"p{at // 2}" for at in range(study.n))
    text = page(made(replace(study, patients=halves)), source="")
    cards = re.findall(r"<li>.*?</li>", text.split('class="cards"')[1].split("</ul>")[0])
    assert re.search(rf", {study.n} cases, {len(set(halves))} patients</span></li>", cards[1]), cards[1]


def test_hostile_names_stay_text() -> None:
    hostile = "<script>alert(1)</script>\u202e\"'&"
    study = make_study("multiclass", classes=(hostile, "b", "c"))
    study = replace(
        study, target=hostile, columns={hostile: (hostile,) * study.n}, left_out=(Account(hostile, (hostile,)),)
    )
    text = page(made(study, others={hostile: study}), source=hostile)
    assert "<script" not in text
    assert "\u202e" not in text
    assert "&lt;script&gt;" in text


def test_what_cant_be_drawn_says_why() -> None:
    study = make_study("binary")
    text = page(made(replace(study, truth=np.zeros(study.n))), source="")
    assert text.count("Not estimable: no case is positive (80 negative).") == 2
    assert "not estimable: no case is positive" in text
    assert text.count('class="none"') >= 4


def test_points_lie_where_their_numbers_are() -> None:
    study = make_study("binary", 4)
    study = replace(
        study, truth=np.array([0.0, 0, 1, 1]), outputs=np.array([[0.9, 0.1], [0.4, 0.6], [0.6, 0.4], [0.1, 0.9]])
    )
    text = page(made(study), source="")
    roc = re.search(r"<h3>ROC</h3>.*?</figure>", text, re.DOTALL)
    assert roc is not None
    curve = re.findall(r'<path d="M([^"]+)" fill="none" stroke="#0072B2"', roc[0])[0]
    points = [tuple(map(float, one.split())) for one in curve.split("L")]
    left, right, top, bottom = 58, 424, 12, 330
    expected = [(0, 0), (0, 0.5), (0.5, 0.5), (0.5, 1), (1, 1)]
    assert points == [
        pytest.approx((left + x * (right - left), bottom - y * (bottom - top)), abs=0.06) for x, y in expected
    ]


@pytest.mark.parametrize("kind", PLOTS)
def test_files_hold_every_figure_with_all_digits(kind: str, tmp_path: Path) -> None:
    sheet = made(make_study(kind), others={"=evil()": make_study(kind)})
    files = write_evaluation(tmp_path / "evaluation", sheet, sources={"predictions": "/secret/folder/p.csv"})
    assert [path.name for path in files] == ["figures.json", "figures.csv", "report.html"]
    assert all("/secret" not in path.read_text() for path in files)
    told = json.loads(files[0].read_text())
    assert told == json.loads(json.dumps(as_json(sheet, {"predictions": "p.csv"})))
    figures = [one for section in sheet.sections for one in section.figures]
    for ours, written in zip(figures, (f for s in told["sections"] for f in s["figures"]), strict=True):
        assert (written["name"], written["value"], written["low"], written["n"]) == (
            ours.name,
            ours.value,
            ours.low,
            ours.n,
        )
    rows = list(csv.DictReader(io.StringIO(files[1].read_text())))
    assert [float(row["value"]) for row in rows[: len(figures)]] == [one.value for one in figures]
    assert all(row["group"].startswith("'=evil") for row in rows if row["part"] == "Against")
    assert len(rows) == len(figures) + len(sheet.subgroups) + 3 * len(sheet.contests[0].comparisons)


def test_same_study_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_evaluation(tmp_path / name, made(make_study("binary")), sources={"predictions": "p.csv"})
    for file in ("figures.json", "figures.csv", "report.html"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()

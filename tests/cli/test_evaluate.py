"""wsi-run evaluate: tables in; figures, files and plain errors out."""

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.evaluate.tables import binary_labels, chances, run_rows, slides, write_csv


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    from wsi.evaluate import sheet

    monkeypatch.setattr(sheet.make_sheet, "__kwdefaults__", {**(sheet.make_sheet.__kwdefaults__ or {}), "rounds": 40})


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with OUT, labels.csv, other.csv, and validation cases of other patients."""
    labels, validation = binary_labels(60), binary_labels(60, seed=3, start=100)
    (tmp_path / "OUT").mkdir()
    write_csv(tmp_path / "OUT" / "predictions.csv", run_rows(labels, chances(labels)))
    write_csv(
        tmp_path / "other.csv",
        [
            {"case": row["slide"], "P(Benign)": 1 - p, "P(Malignant)": p}
            for row, p in zip(labels, chances(labels, seed=9), strict=True)
        ],
    )
    write_csv(tmp_path / "validation.csv", run_rows(validation, chances(validation, seed=4)))
    write_csv(tmp_path / "validation_labels.csv", validation)
    write_csv(tmp_path / "labels.csv", labels)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_run_is_measured_and_its_files_are_written(tables: Path, run: Run) -> None:
    ended = run(
        *[
            "evaluate",
            "OUT",
            "--labels",
            "labels.csv",
            "--target",
            "malignant",
            "--subgroup",
            "site",
            "--against",
            "other.csv",
        ]
    )
    assert (ended.status, ended.stderr) == (0, "")
    assert "malignant: 60 cases of 30 patients, binary (Benign, Malignant)" in ended.stdout
    assert "Called Malignant where the predictions say so" in ended.stdout
    assert "AUC, site north" in ended.stdout
    assert "Against other.csv, 60 shared cases" in ended.stdout
    assert {path.name for path in (tables / "OUT" / "evaluation").iterdir()} == {
        "figures.json",
        "figures.csv",
        "report.html",
    }


def test_two_other_models_whose_files_have_one_name_are_both_compared(tables: Path, run: Run) -> None:
    for folder in ("a", "b"):
        (tables / folder).mkdir()
        (tables / folder / "test.csv").write_bytes((tables / "other.csv").read_bytes())
    line = "evaluate OUT --labels labels.csv --target malignant --against a/test.csv --against b/test.csv"
    ended = run(*line.split())
    assert "Against a/test.csv, 60 shared cases" in ended.stdout
    assert "Against b/test.csv, 60 shared cases" in ended.stdout


def test_table_without_calls_is_called_at_one_half_that_nobody_chose(tables: Path, run: Run) -> None:
    line = "evaluate other.csv --labels labels.csv --target malignant --case case -o E"
    ended = run(*line.split())
    assert "Called Malignant at a probability of 0.5 or more (stated by nobody: the middle)" in ended.stdout


def test_threshold_of_a_run_is_not_used_on_its_other_class(tables: Path, run: Run) -> None:
    told = {"path": "s000.svs", "status": "ok", "positive": "Malignant", "grade": "Malignant", "threshold": 0.5}
    (tables / "OUT" / "slides" / "s000").mkdir(parents=True)
    (tables / "OUT" / "slides" / "s000" / "result.json").write_text(json.dumps({"slide": "s000", **told}))
    line = "evaluate OUT --labels labels.csv --target malignant"
    assert "Called Malignant at a probability of 0.5 or more (stated by the card" in run(*line.split()).stdout
    assert "Called Benign where the predictions say so." in run(*line.split(), "--positive", "Benign").stdout


def test_threshold_comes_from_validation_cases(tables: Path, run: Run) -> None:
    line = "evaluate OUT --labels labels.csv --target malignant --threshold-from validation.csv --rule sensitivity>=0.9"
    ended = run(*line.split(), "--validation-labels", "validation_labels.csv", "-o", "E", "--json")
    assert ended.status == 0
    told = json.loads(ended.stdout)
    assert told == json.loads((tables / "E" / "figures.json").read_text())
    assert told["threshold"]["rule"] == "sensitivity>=0.9"
    assert told["threshold"]["validation"][0]["value"] >= 0.9
    assert "Referral by rule" in [section["title"] for section in told["sections"]]


def test_classes_of_other_tables_are_told_by_name_and_not_by_the_order_of_their_columns(tables: Path, run: Run) -> None:
    labels, validation = binary_labels(60), binary_labels(60, seed=3, start=100)
    for name, rows, seed in (("turned.csv", labels, 9), ("turned_validation.csv", validation, 4)):
        listed = zip(rows, chances(rows, seed=seed), strict=True)
        write_csv(tables / name, [{"case": row["slide"], "p_Malignant": p, "p_Benign": 1 - p} for row, p in listed])
    line = "evaluate OUT --labels labels.csv --target malignant --validation-labels validation_labels.csv --json"
    straight, turned = (
        json.loads(run(*line.split(), "--threshold-from", validated, "--against", other).stdout)
        for validated, other in (("validation.csv", "other.csv"), ("turned_validation.csv", "turned.csv"))
    )
    assert turned["threshold"]["value"] == pytest.approx(straight["threshold"]["value"], abs=1e-5)
    assert turned["against"][0]["comparisons"] == straight["against"][0]["comparisons"]


def test_threshold_of_the_tested_cases_is_refused(tables: Path, run: Run) -> None:
    line = "evaluate OUT --labels labels.csv --target malignant --threshold-from OUT/predictions.csv -o E"
    ended = run(*line.split())
    assert ended.status == 2
    assert "the threshold was made from 30 of the patients that it is now tested on (p0, p1, p10, ...)" in ended.stderr
    assert not (tables / "E").exists()


def test_grades_numbers_and_survival_have_pages(tmp_path: Path, run: Run) -> None:
    rows = [
        {"case": name, "grade": f"G{at % 3}", "p_G0": 0.5, "p_G1": 0.2, "p_G2": 0.3, "age": at + 0.5, "predicted": at,
         "months": at + 1, "dead": at % 2, "risk": -at, "S(3)": 0.9, "S(9)": 0.5}
        for at, name in enumerate(slides(24))
    ]  # fmt: skip
    table = write_csv(tmp_path / "p.csv", rows)
    for target, score in (
        ("grade:ordinal:G0,G1,G2", ""),
        ("age:regression", "predicted"),
        ("os:survival:months,dead", "risk"),
    ):
        out = tmp_path / target.split(":")[1]
        ended = run("evaluate", table, "--target", target, *(["--score", score] if score else []), "-o", out)
        assert (ended.status, ended.stderr) == (0, ""), target
        assert "each case counts as a patient of its own" in ended.stdout
        assert (out / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("OUT --target malignant", "holds no truth; give the labels with --labels"),
        ("OUT --labels none.csv --target malignant", "none.csv: can't be read"),
        ("nowhere --labels labels.csv --target malignant", "nowhere: can't be read"),
        ("OUT --labels labels.csv --target malignent", "Did you mean 'malignant'"),
        ("OUT --labels labels.csv --target malignant:binry", "Did you mean 'binary'"),
        ("OUT --labels labels.csv --target malignant --positive Maligant", "Did you mean 'Malignant'"),
        ("OUT --labels labels.csv --target malignant --subgroup sit", "Did you mean 'site'"),
        ("OUT --labels labels.csv --target site", "one of the classes that were predicted (Benign, Malignant)"),
        ("OUT --labels labels.csv --target malignant --means benign", "--means 'benign': expected LABEL=CLASS"),
        ("OUT --labels labels.csv --target malignant --against validation.csv", "validation.csv"),
        ("validation.csv --labels labels.csv --target malignant", "no case of validation.csv is in column 'slide'"),
        ("OUT --labels labels.csv --target malignant --threshold-from validation.csv --validation-labels validation_labels.csv --rule yuden", "no rule 'yuden' for a threshold"),
        ("OUT --labels labels.csv --target malignant --threshold-from validation.csv --validation-labels validation_labels.csv --alpha 2", "alpha and doubt of a referral rule are shares"),
        ("OUT --labels labels.csv --target malignant --rule sensitivity>=0.95", "--rule: nothing is chosen on the cases that are tested"),
        ("OUT --labels labels.csv --target malignant --alpha 0.05", "give validation cases with --threshold-from"),
        ("OUT --labels labels.csv --target malignant --validation-labels validation_labels.csv", "--validation-labels: nothing is chosen"),
        ("OUT --labels labels.csv --target malignant:binary:benign,malignant --positive benign", "--target names Malignant last"),
        ("OUT --labels labels.csv --target malignant:ordinal:benign,malignant --positive benign", "which is ordinal, is the positive one"),
        ("OUT --labels labels.csv --target malignant --threshold 0.3", "No such option"),
    ],
)  # fmt: skip
def test_wrong_usage_is_told_and_nothing_is_written(line: str, told: str, tables: Path, run: Run) -> None:
    ended = run("evaluate", *line.split())
    assert ended.status == 2, ended
    assert told in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr
    assert not list(tables.rglob("report.html"))


@pytest.mark.parametrize("advice", [("--leave-out", "2.0"), ("--means", "2.0=1")])
def test_advice_on_a_label_that_no_class_has_can_be_followed_as_it_is_told(
    advice: tuple[str, str], tmp_path: Path, run: Run
) -> None:
    rows = [{"case": name, "y": f"{at % 3}.0", "p_0": 0.4, "p_1": 0.6} for at, name in enumerate(slides(9))]
    table = write_csv(tmp_path / "p.csv", rows)
    assert " ".join(advice) in run("evaluate", table, "--target", "y").stderr.replace("'", "").replace("=CLASS", "=1")
    assert run("evaluate", table, "--target", "y", *advice).status == 0


def test_names_of_files_that_are_no_utf8_are_spelled_out(tables: Path, run: Run) -> None:
    for name in (b"\xff.csv", b"\xfe.csv"):
        (tables / os.fsdecode(name)).write_bytes((tables / "other.csv").read_bytes())
    line = "--labels labels.csv --target malignant --case case -o E --json --against"
    ended = run("evaluate", os.fsdecode(b"\xff.csv"), *line.split(), os.fsdecode(b"\xfe.csv"))
    assert (ended.status, ended.stderr) == (0, "")
    told = json.loads(ended.stdout)
    assert (told["sources"]["predictions"], told["against"][0]["name"]) == ("\\xff.csv", "\\xfe.csv")


def test_control_characters_of_a_table_dont_reach_the_terminal(tmp_path: Path, run: Run) -> None:
    rows = [{"case": name, "y\x1b[31m": at % 2, "score": 0.5} for at, name in enumerate(slides(6))]
    ended = run("evaluate", write_csv(tmp_path / "p.csv", rows), "--target", "y\x1b[31m")
    assert ended.status == 0
    assert "\x1b" not in ended.stdout

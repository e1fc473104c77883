"""Predictions of several tools joined with labels: what is left out is counted and named, what is wrong is told."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.evaluate.tables import binary_labels, chances, run_rows, slides, write_csv
from wsi.errors import LabelsError, UsageError
from wsi.evaluate.join import read_study
from wsi.evaluate.question import Question, parse_pairs, parse_target
from wsi.printable import safe_cell


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "labels.csv", binary_labels(12))


def test_run_is_joined_by_path_and_its_positive_class_is_found(tmp_path: Path, labels: Path) -> None:
    values = chances(binary_labels(12))
    out = tmp_path / "OUT"
    out.mkdir()
    rows = run_rows(binary_labels(12), values)
    for row in rows:  # the positive class stands first: only `probability` tells
        row["P(Malignant)"], row["P(Benign)"] = row.pop("P(Malignant)"), row.pop("P(Benign)")
    write_csv(out / "predictions.csv", rows)
    german = tmp_path / "german.csv"  # as a spreadsheet with decimal commas saves it
    german.write_text((out / "predictions.csv").read_text().replace(",", ";").replace("0.", "0,"))
    study = read_study(out, labels, Question(target="malignant"))
    assert read_study(german, labels, Question(target="malignant")).classes == study.classes
    assert (study.kind, study.classes, study.n) == ("binary", ("Benign", "Malignant"), 12)
    np.testing.assert_allclose(study.outputs[:, 1], values, atol=1e-5)
    assert study.truth.tolist() == [float(row["malignant"] == "malignant") for row in binary_labels(12)]
    assert study.patients[:3] == ("p0", "p0", "p1")
    assert study.cases[0] == "s000"
    assert (study.left_out, study.notes) == ((), ())


def test_clam_writes_truth_and_probabilities_in_one_table(tmp_path: Path) -> None:
    rows = [
        {"slide_id": name, "Y": at % 3, "Y_hat": 0, "p_0": 0.2, "p_1": 0.5, "p_2": 0.3}
        for at, name in enumerate(slides(6))
    ]
    study = read_study(write_csv(tmp_path / "eval.csv", rows), None, Question(target="Y"))
    assert (study.kind, study.classes) == ("multiclass", ("0", "1", "2"))
    assert study.truth.tolist() == [0, 1, 2, 0, 1, 2]
    assert "counts as a patient of its own" in study.notes[0]


def test_one_column_of_probabilities_is_of_the_positive_class(tmp_path: Path) -> None:
    rows = [{"image": name, "score": 0.1 * at, "er": ("neg", "pos")[at % 2]} for at, name in enumerate(slides(6))]
    study = read_study(write_csv(tmp_path / "p.csv", rows), None, Question(target="er"))
    assert study.classes == ("neg", "pos")
    np.testing.assert_allclose(study.outputs[:, 1], 0.1 * np.arange(6))
    turned = read_study(tmp_path / "p.csv", None, Question(target="er", positive="neg"))
    assert turned.truth.tolist() == (1 - study.truth).tolist()


def test_names_that_a_run_kept_from_being_formulas_are_those_of_the_labels(tmp_path: Path) -> None:
    names = [f"{sign}{at}" for at, sign in enumerate("=+-@")]
    labels = write_csv(tmp_path / "labels.csv", [{"slide": name, "er": "+-"[at % 2]} for at, name in enumerate(names)])
    rows = [
        {"path": safe_cell(f"{name}.svs"), "label": safe_cell("-"), "tiles_wanted": 9, "P(-)": 0.7, "P(+)": 0.3}
        for name in names
    ]
    study = read_study(write_csv(tmp_path / "predictions.csv", rows), labels, Question(target="er"))
    assert (study.cases, study.left_out) == (tuple(names), ())
    assert study.calls is not None
    assert study.calls.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("asked", [Question("y", leave_out=frozenset({"2"})), Question("y", means={"2": "1"})])
def test_third_number_that_is_left_out_or_means_a_class_makes_no_regression(asked: Question, tmp_path: Path) -> None:
    rows = [{"image": name, "score": 0.1 * at, "y": at % 3} for at, name in enumerate(slides(9))]
    study = read_study(write_csv(tmp_path / "p.csv", rows), None, asked)
    assert (study.kind, study.classes) == ("binary", ("0", "1"))


def test_logits_are_taken_as_such_and_only_when_told(tmp_path: Path) -> None:
    rows = [{"image": name, "score": at - 2, "y": at % 2} for at, name in enumerate(slides(6))]
    path = write_csv(tmp_path / "p.csv", rows)
    with pytest.raises(LabelsError, match=r"p.csv: found -2 to 3, expected probabilities from 0 to 1; use --logits"):
        read_study(path, None, Question())
    assert read_study(path, None, Question(logits=True)).test().score.tolist() == [-2, -1, 0, 1, 2, 3]


def test_named_columns_and_order_of_grades(tmp_path: Path) -> None:
    rows = [
        {"case": name, "b": 0.2, "a": 0.5, "c": 0.3, "grade": "G" + str(1 + at % 3)}
        for at, name in enumerate(slides(6))
    ]
    path = write_csv(tmp_path / "p.csv", rows)
    scores = parse_pairs("--score", ("G2=b", "G1=a", "G3=c"))
    study = read_study(path, None, Question("grade", "ordinal", ("G1", "G2", "G3"), scores=scores))
    assert study.classes == ("G1", "G2", "G3")
    assert study.outputs[0].tolist() == [0.5, 0.2, 0.3]
    assert study.truth[:3].tolist() == [0, 1, 2]


def test_numbers_and_survival(tmp_path: Path) -> None:
    rows = [
        {"case": name, "prediction": at, "age": 50.5 + at, "months": at, "dead": ("no", "yes")[at % 2], "risk": -at, "S(12)": 0.9, "S(6)": 0.95}
        for at, name in enumerate(slides(6))
    ]  # fmt: skip
    path = write_csv(tmp_path / "p.csv", rows)
    study = read_study(path, None, Question("age"))
    assert (study.kind, study.outputs[:, 0].tolist()) == ("regression", [0, 1, 2, 3, 4, 5])
    name, kind, names = parse_target("os:survival:months,dead")
    survival = read_study(path, None, Question(name, kind, names, scores=(("", "risk"),)))
    assert survival.truth[:2].tolist() == [[0, 0], [1, 1]]
    assert survival.times == (6.0, 12.0)
    assert survival.free[0].tolist() == [0.95, 0.9]


def test_cases_that_are_in_no_figure_are_named_with_the_reason(tmp_path: Path) -> None:
    labels = binary_labels(12)
    values = chances(labels)
    rows = run_rows(labels, values)
    rows[3] |= {"status": "refused", "probability": "", "P(Benign)": "", "P(Malignant)": ""}
    rows[4]["path"], rows[4]["id"] = "lab/other.svs", "other"
    labels[5]["malignant"] = ""
    labels[6]["malignant"] = "uncertain"
    table = write_csv(tmp_path / "labels.csv", labels)
    question = Question(target="malignant", leave_out=frozenset({"uncertain"}))
    study = read_study(write_csv(tmp_path / "p.csv", rows), table, question)
    assert study.n == 8
    assert {one.why: one.cases for one in study.left_out} == {
        "nothing was predicted": ("s003",),
        "not among the labels": ("lab/other.svs",),
        "the label is missing": ("s005",),
        "uncertain is left out as asked": ("s006",),
        "labeled, but not among the predictions": ("s004",),
    }


def test_label_of_another_name_means_a_class(tmp_path: Path) -> None:
    labels = binary_labels(12)
    rows = run_rows(labels, chances(labels))
    for row in labels:
        row["malignant"] = {"malignant": "carcinoma"}.get(str(row["malignant"]), row["malignant"])
    table, predictions = write_csv(tmp_path / "labels.csv", labels), write_csv(tmp_path / "p.csv", rows)
    told = r"labels.csv: .*says 'carcinoma', expected one of the classes that were predicted \(Benign, Malignant\)"
    with pytest.raises(LabelsError, match=told):
        read_study(predictions, table, Question("malignant"))
    study = read_study(predictions, table, Question("malignant", means={"carcinoma": "Malignant"}))
    assert study.truth.sum() == sum(row["malignant"] == "carcinoma" for row in labels)


def test_training_run_is_read_as_it_is(tmp_path: Path) -> None:
    rows = [
        {"case": name, "patient": f"p{at // 2}", "site": "", "fold": "fold 1", "true grade": ("low", "high")[at % 2],
         "p low": 0.7, "p high": 0.3, "uncalibrated p low": 0.9, "uncalibrated p high": 0.1, "called": ("low", "high")[at % 3 == 0],
         "referred": int(at < 2)}
        for at, name in enumerate(slides(6))
    ]  # fmt: skip
    (tmp_path / "run").mkdir()
    write_csv(tmp_path / "run" / "predictions.csv", rows)
    for question in (Question(), Question(target="grade")):
        study = read_study(tmp_path / "run", None, question)
        assert (study.target, study.classes) == ("grade", ("low", "high"))
        assert study.truth.tolist() == [0, 1, 0, 1, 0, 1]
        assert study.calls is not None
        assert study.calls.tolist() == [1, 0, 0, 1, 0, 0]
        assert study.outputs[0].tolist() == [0.7, 0.3]
        assert study.patients == ("p0", "p0", "p1", "p1", "p2", "p2")


def test_training_runs_of_numbers_and_survival_are_read(tmp_path: Path) -> None:
    rows = [
        {"case": name, "true age": at, "age": at + 0.5, "true months": at, "true dead": at % 2, "log hazard": -at,
         "baseline log hazard": 0, "survival until 3": 0.9, "survival until the end": 0.1}
        for at, name in enumerate(slides(6))
    ]  # fmt: skip
    path = write_csv(tmp_path / "p.csv", rows)
    study = read_study(path, None, Question("age", "regression"))
    assert study.outputs[:, 0].tolist() == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    survival = read_study(path, None, Question("os", "survival", ("months", "dead")))
    assert survival.outputs[:, 0].tolist() == [0, -1, -2, -3, -4, -5]
    assert (survival.times, survival.unit) == ((3.0,), "months")


def test_runs_of_models_without_classes_are_read(tmp_path: Path) -> None:
    """As predictions.csv has them, whose column of a probability is then empty."""
    rows = [
        {"id": f"{name}-0a1b2c3d", "path": f"{name}.svs", "status": "ok", "label": "", "probability": "", "tiles_wanted": 9,
         "value": -at / 10, "unit": "", "value_is": "log hazard of death", "S(12 months)": 0.9, "S(24 months)": 0.8}
        for at, name in enumerate(slides(6))
    ]  # fmt: skip
    path = write_csv(tmp_path / "predictions.csv", rows)
    truth = [{"slide": name, "age": at, "months": at + 1, "dead": at % 2} for at, name in enumerate(slides(6))]
    labels = write_csv(tmp_path / "labels.csv", truth)
    expected = [-at / 10 for at in range(6)]
    assert read_study(path, labels, Question("age", "regression")).outputs[:, 0].tolist() == expected
    survival = read_study(path, labels, Question("os", "survival", ("months", "dead")))
    assert survival.outputs[:, 0].tolist() == expected
    assert (survival.times, survival.free[0].tolist()) == ((12.0, 24.0), [0.9, 0.8])


Change = Callable[[list[dict[str, object]], list[dict[str, object]]], None]


def _twice(labels: list[dict[str, object]], rows: list[dict[str, object]]) -> None:
    labels.append(labels[0])


def _twice_predicted(labels: list[dict[str, object]], rows: list[dict[str, object]]) -> None:
    rows.append(rows[0])


def _same_stem(labels: list[dict[str, object]], rows: list[dict[str, object]]) -> None:
    labels[1]["slide"] = "north/s000"
    labels[0]["slide"] = "south/s000"


def _strangers(labels: list[dict[str, object]], rows: list[dict[str, object]]) -> None:
    for row in labels:
        row["slide"] = f"x{row['slide']}"


def _word(labels: list[dict[str, object]], rows: list[dict[str, object]]) -> None:
    rows[2]["P(Benign)"] = "much"


def _too_much(labels: list[dict[str, object]], rows: list[dict[str, object]]) -> None:
    rows[2]["P(Benign)"] = "0.9"
    rows[2]["P(Malignant)"] = "0.8"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_twice, r"labels.csv: line 14: 's000' stands on line 2, too"),
        (_twice_predicted, r"p.csv: line 14: 'lab/s000.svs' stands on line 2, too; expected one line a case"),
        (_same_stem, r"labels.csv: lines 2 and 3 could both be 'lab/s000.svs' of the predictions"),
        (_strangers, r"no case of .*p.csv is in column 'slide', which has 'xs000' where the predictions have"),
        (_word, r"p.csv: line 4: column 'P\(Benign\)' says 'much', expected a number"),
        (_too_much, r"line 4: 0.9, 0.8 are no probabilities of classes"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(change: Change, told: str, tmp_path: Path) -> None:
    labels = binary_labels(12)
    rows = run_rows(labels, np.full(12, 0.25))
    change(labels, rows)
    with pytest.raises(LabelsError, match=told):
        read_study(
            write_csv(tmp_path / "p.csv", rows), write_csv(tmp_path / "labels.csv", labels), Question("malignant")
        )


@pytest.mark.parametrize(
    ("question", "told"),
    [
        (Question("malignent"), "no column 'malignent'; the columns are .* Did you mean 'malignant'"),
        (
            Question("malignant", positive="Malignat"),
            "the predictions have no class 'Malignat'.* Did you mean 'Malignant'",
        ),
        (Question("malignant", "ordinal", ("Benign", "G2")), "the predictions have no class 'G2'"),
        (Question("malignant", "ordinal", ("Benign",)), "also have the class 'Malignant', which --target doesn't name"),
        (Question("malignant", "regression"), "says 'benign', expected a number"),
        (Question("malignant", case="sldie"), "no column 'sldie'"),
        (Question("malignant", patient="patent"), "no column 'patent'.* Did you mean 'patient'"),
        (Question("malignant", subgroups=("sit",)), "no column 'sit'.* Did you mean 'site'"),
        (Question("malignant", scores=(("", "P(Malignent)"),)), r"Did you mean 'P\(Malignant\)'"),
    ],
)
def test_wrong_names_are_told_with_near_ones(question: Question, told: str, tmp_path: Path, labels: Path) -> None:
    predictions = write_csv(tmp_path / "p.csv", run_rows(binary_labels(12), chances(binary_labels(12))))
    with pytest.raises(UsageError, match=told):
        read_study(predictions, labels, question)


def test_what_a_run_called_is_never_taken_for_the_truth(tmp_path: Path) -> None:
    predictions = write_csv(tmp_path / "p.csv", run_rows(binary_labels(12), chances(binary_labels(12))))
    with pytest.raises(UsageError, match="holds no truth; give the labels with --labels"):
        read_study(predictions, None, Question())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("grade:ordnal", "Did you mean 'ordinal'"),
        (":binary", "expected COLUMN"),
        ("os:survival:months", "time and event"),
        ("er:binary:pos", "two classes"),
    ],
)
def test_target_of_another_form_is_told(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parse_target(text)


def test_pairs() -> None:
    assert parse_pairs("--score", ("a=b", "c", "x=y=z")) == (("a", "b"), ("", "c"), ("x=y", "z"))
    for text in ("a=", "=b", ""):
        with pytest.raises(UsageError, match="expected NAME=NAME"):
            parse_pairs("--means", (text,))

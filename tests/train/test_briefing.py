"""The report before training: what it counts, and what it warns of."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.train.make_cohort import drawn_cohort
from wsi.train import Case, Cohort, Fold, Target, make_splits
from wsi.train.briefing import brief
from wsi.train.cohort import Finding
from wsi.train.seal import seal

BINARY = Target("label", "binary", ("normal", "tumor"))


def drawn(rows: Sequence[tuple[str, str | None, str | None]], findings: tuple[Finding, ...] = ()) -> Cohort:
    """Rows of patient, site, label."""
    cases = [
        Case(f"c{at:02d}", patient, site, (f"c{at:02d}",), {"label": label}, {})
        for at, (patient, site, label) in enumerate(rows)
    ]
    return Cohort(tuple(cases), (BINARY,), findings)


def balanced(count: int = 20) -> Cohort:
    return drawn([(f"p{n}", f"site{n // 2 % 2}", ("normal", "tumor")[n % 2]) for n in range(count)])


def test_clean_cohort_has_no_warning() -> None:
    cohort = balanced()
    briefing = brief(cohort, make_splits(cohort, folds=3))
    assert briefing.warnings == ()
    assert str(briefing).startswith("Warnings\n  none\n")


def test_counts_are_of_cases_and_of_patients(tmp_path: Path) -> None:
    rows = [
        {"slide": f"s{n}", "patient": f"p{n // 2}", "label": ("a", "b")[n // 2 % 2], "x": n or ""} for n in range(12)
    ]
    text = brief(drawn_cohort(tmp_path, rows, targets=["label", "x:regression"])).text()
    assert "  cases  slides  patients  sites\n  12     12      6         unknown\n" in text
    assert "  class  cases  patients\n  a      6      3\n  b      6      3\n" in text
    assert "values: 1 to 11, median 6\n  missing: 1 of 12" in text
    assert "6 (s0)    6       6 (s9)   72" in text


def test_folds_are_told_by_patients_and_class_with_their_digest() -> None:
    cohort = balanced()
    splits = make_splits(cohort, folds=5)
    text = brief(cohort, splits).text()
    assert splits.digest in text
    assert "  fold 1  test        4      4         2             2\n" in text


@pytest.mark.parametrize("count", [4, 5])
def test_class_of_fewer_than_five_patients_is_warned_of(count: int) -> None:
    rows = [(f"p{n}", None, "normal") for n in range(10)] + [(f"t{n % count}", None, "tumor") for n in range(8)]
    warned = any("tumor has" in warning for warning in brief(drawn(rows)).warnings)
    assert warned == (count < 5)


def test_site_that_tells_the_label_is_warned_of() -> None:
    confounded = drawn([(f"p{n}", f"site{n % 2}", ("normal", "tumor")[n % 2]) for n in range(20)])
    (warning,) = brief(confounded).warnings
    assert "the site tells the label (Cramér's V 1.00; 2 of 2 sites have one class only)" in warning


def test_class_missing_on_a_side_is_warned_of() -> None:
    cohort = balanced()
    even, odd = tuple(range(0, 20, 2)), tuple(range(1, 20, 2))
    (warning,) = brief(cohort, seal(cohort, "file", [Fold("fold 1", even + odd[:5], (), odd[5:])])).warnings
    assert warning == "label: fold 1 test has no normal"


def test_cases_in_no_fold_are_warned_of() -> None:
    cohort = balanced()
    fold = Fold("fold 1", tuple(range(10)), (), tuple(range(10, 18)))
    (warning,) = brief(cohort, seal(cohort, "file", [fold])).warnings
    assert warning == "2 cases are in no fold: c18, c19"


def test_missing_labels_large_patients_and_contradictions_are_warned_of() -> None:
    rows: list[tuple[str, str, str | None]] = [(f"p{n}", "s", ("normal", "tumor")[n % 2]) for n in range(12)]
    rows += [("big", "s", "tumor")] * 6 + [("q", "s", None)] * 6
    found = (Finding("duplicates", "c01 and c02 (equal features): both of one patient; their labels differ"),)
    warnings = brief(drawn(rows, findings=found)).warnings
    assert warnings == (
        "label: 25% of the cases have no label",
        "patient big has 6 of 24 cases",
        "1 copied slides have another label than their copy; see Findings",
    )


def test_ten_findings_of_a_kind_are_shown() -> None:
    found = tuple(Finding("duplicates", f"pair {n}") for n in range(13))
    text = brief(drawn([("p", "s", "tumor")], findings=found)).text()
    assert "duplicates: pair 9\n  duplicates: … and 3 more" in text
    assert "pair 10" not in text


@pytest.mark.parametrize(
    ("target", "value", "told"),
    [
        (Target("os", "survival", (), ("t", "e")), {"t": 3.0, "e": 1.0}, "event     8      8"),
        (Target("f", "multilabel", ("edema", "mass")), {"edema": 1.0, "mass": 0.0}, "edema  8      8"),
        (Target("g", "ordinal", ("low", "high")), {"g": "high"}, "high   8      8"),
    ],
)
def test_every_kind_of_target_is_counted(target: Target, value: Mapping[str, float | str], told: str) -> None:
    cohort = Cohort(tuple(Case(f"c{n}", f"p{n}", None, (f"c{n}",), value, {}) for n in range(8)), (target,))
    assert told in brief(cohort, make_splits(cohort, folds=2)).text()


def test_names_of_a_labels_file_are_text_in_markdown() -> None:
    hostile = Finding("merged-patients", "'<img src=x>' and 'a|b\n# c'")
    markdown = brief(drawn([("p", "<b>|x", "tumor"), ("q", "y", "normal")], findings=(hostile,))).markdown()
    assert "<img" not in markdown
    assert "| &lt;b&gt;\\|x | 1 |" in markdown
    assert "\n# c" not in markdown
    assert "## Cohort\n\n| cases |" in markdown


def test_names_of_a_labels_file_do_not_steer_a_terminal() -> None:
    briefing = brief(drawn([("p", "\x1b[2Jsite", "tumor"), ("q", "y\u202e", "normal")]))
    assert not {"\x1b", "\u202e"} & set(briefing.text() + briefing.markdown())

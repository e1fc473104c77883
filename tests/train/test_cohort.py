"""Labels and features become cases, or an error that names all that doesn't fit."""

from pathlib import Path

import numpy as np
import pytest

from tests.train.make_cohort import drawn_bag, drawn_cohort, features_folder, out_folder, write_csv, write_h5
from wsi.errors import ArtifactError, EncoderMismatchError, LabelsError
from wsi.publish import sha256_file
from wsi.train import Cohort, read_cohort

ROWS = [
    {"slide": "s1", "patient": "p1", "site": "A", "label": "tumor", "age": "51"},
    {"slide": "s2", "patient": "p1", "site": "A", "label": "tumor", "age": "51"},
    {"slide": "s10", "patient": "p2", "site": "B", "label": "normal", "age": ""},
]


def codes(cohort: Cohort) -> set[str]:
    return {finding.code for finding in cohort.findings}


def test_each_line_becomes_a_case_in_natural_order(tmp_path: Path) -> None:
    cohort = drawn_cohort(tmp_path, ROWS[::-1])
    assert [(case.id, case.patient, case.site) for case in cohort.cases] == [
        ("s1", "p1", "A"),
        ("s2", "p1", "A"),
        ("s10", "p2", "B"),
    ]
    assert cohort.cases[0].columns["age"] == "51"
    assert cohort.labels("label").tolist() == [[1.0], [1.0], [0.0]]
    assert cohort.tiles == {"s1": 6, "s2": 6, "s10": 6}


def test_order_of_lines_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    features = features_folder(tmp_path / "f", ["s1", "s2", "s10"])
    one = read_cohort(write_csv(tmp_path / "1.csv", ROWS), features, targets=["label"])
    other = read_cohort(write_csv(tmp_path / "2.csv", ROWS[::-1]), features, targets=["label"])
    assert one == other


def test_slides_of_a_patient_are_one_bag_when_asked(tmp_path: Path) -> None:
    features = features_folder(tmp_path / "f", ["s1", "s2", "s10"])
    cohort = read_cohort(write_csv(tmp_path / "l.csv", ROWS), features, targets=["label"], bag="patient")
    assert [(case.id, case.slides) for case in cohort.cases] == [("p1", ("s1", "s2")), ("p2", ("s10",))]


def test_one_bag_a_patient_needs_one_label(tmp_path: Path) -> None:
    rows = [*ROWS, {**ROWS[0], "slide": "s3", "label": "normal"}]
    features = features_folder(tmp_path / "f", [row["slide"] for row in rows])
    with pytest.raises(LabelsError, match="patient 'p1': column 'label' says 'tumor' on line 2 and 'normal' on line 5"):
        read_cohort(write_csv(tmp_path / "l.csv", rows), features, targets=["label"], bag="patient")


def test_missing_labels_are_allowed_and_counted(tmp_path: Path) -> None:
    rows = [{**row, "er": value} for row, value in zip(ROWS, ["1", "", "0"], strict=True)]
    rows.append({**rows[2], "slide": "s4", "label": "", "er": "NA"})
    cohort = drawn_cohort(tmp_path, rows, targets=["label", "er"])
    told = {finding.code: finding for finding in cohort.findings}
    assert np.isnan(cohort.labels("er")[:, 0]).tolist() == [False, True, False]
    assert told["missing-labels"].names == ("s2",)
    assert told["no-labels"].names == ("s4",)
    assert [case.id for case in cohort.cases] == ["s1", "s2", "s10"]


@pytest.mark.parametrize(
    "name", ["a/1.svs", "a/1", "1.SVS", "1", "/data/a/1.svs", r"C:\data\1.svs", "1.tiff", "./a/1.svs"]
)
def test_names_match_whatever_their_folder_and_suffix(tmp_path: Path, name: str) -> None:
    out = out_folder(tmp_path / "out", {"a/1.svs": None, "a/2.svs": None})
    rows = [{"slide": name, "patient": "p", "label": "0"}, {"slide": "2", "patient": "q", "label": "1"}]
    cohort = read_cohort(write_csv(tmp_path / "l.csv", rows), out, targets=["label"])
    assert {bag.name for bag in cohort.files.values()} == {"a/1.svs", "a/2.svs"}


def test_ambiguous_name_is_an_error_that_names_both(tmp_path: Path) -> None:
    out = out_folder(tmp_path / "out", {"a/1.svs": None, "b/1.svs": None})
    rows = [{"slide": "1.svs", "patient": "p", "label": "0"}, {"slide": "b/1.svs", "patient": "q", "label": "1"}]
    with pytest.raises(LabelsError, match=r"line 2: '1.svs' may be 'a/1.svs' or 'b/1.svs'"):
        read_cohort(write_csv(tmp_path / "l.csv", rows), out, targets=["label"])


def test_suffix_decides_between_two_slides_of_one_name(tmp_path: Path) -> None:
    out = out_folder(tmp_path / "out", {"1.svs": None, "1.tif": None})
    rows = [{"slide": "1.tif", "patient": "p", "label": "0"}, {"slide": "1.svs", "patient": "q", "label": "1"}]
    cohort = read_cohort(write_csv(tmp_path / "l.csv", rows), out, targets=["label"])
    assert cohort.files["1.tif"].name == "1.tif"


def test_all_problems_of_a_file_are_told_together(tmp_path: Path) -> None:
    rows = [
        {"slide": "s1", "patient": "p1", "label": "0", "months": "12"},
        {"slide": "s1.svs", "patient": "p2", "label": "1", "months": "soon"},
        {"slide": "", "patient": "p3", "label": "1", "months": "1"},
        {"slide": "slide-2", "patient": "", "label": "1", "months": "1"},
        {"slide": "slide-22", "patient": "p5", "label": "1", "months": "1"},
    ]
    features = features_folder(tmp_path / "f", ["s1", "slide-2"])
    with pytest.raises(LabelsError) as raised:
        read_cohort(write_csv(tmp_path / "l.csv", rows), features, targets=["label", "months:regression"])
    told = str(raised.value)
    assert "5 problems" in told
    assert "line 3: column 'months' says 'soon', expected a number" in told
    assert "line 4: column 'slide' is empty" in told
    assert "line 5: column 'patient' is empty" in told
    assert "lines 2 and 3: 's1' and 's1.svs' are one slide" in told
    assert "line 6: no features file of 'slide-22'" in told
    assert "Did you mean 'slide-2'" in told


def test_lines_without_features_are_dropped_when_asked(tmp_path: Path) -> None:
    features = features_folder(tmp_path / "f", ["s1", "s10"])
    cohort = read_cohort(write_csv(tmp_path / "l.csv", ROWS), features, targets=["label"], absent="drop")
    assert [case.id for case in cohort.cases] == ["s1", "s10"]
    assert codes(cohort) == {"no-features"}


def test_slides_that_the_run_refused_are_left_out_and_told(tmp_path: Path) -> None:
    out = out_folder(tmp_path / "out", {"s1.svs": None, "s2.svs": "E_NO_TISSUE", "s10.svs": None, "s11.svs": None})
    cohort = read_cohort(write_csv(tmp_path / "l.csv", ROWS), out, targets=["label"])
    told = {finding.code: finding.names for finding in cohort.findings}
    assert told == {"no-features": ("s2",), "unlabeled-features": ("s11.svs",)}


def test_records_that_lead_out_of_the_folder_are_passed_over(tmp_path: Path) -> None:
    out = out_folder(tmp_path / "out", {"s1.svs": None, "s2.svs": None, "s10.svs": None})
    write_h5(tmp_path / "elsewhere" / "features.h5", drawn_bag(9))
    journal = out / "results.jsonl"
    first = journal.read_text().splitlines()[0]
    foreign = first.replace("s1-0000", "../../elsewhere").replace("s1.svs", "s9.svs")
    journal.write_text(journal.read_text() + foreign + "\n{torn")
    rows = [*ROWS, {**ROWS[0], "slide": "s9"}]
    with pytest.raises(LabelsError, match="no features file of 's9'"):
        read_cohort(write_csv(tmp_path / "l.csv", rows), out, targets=["label"])


@pytest.mark.parametrize("place", ["f", "f/h5_files", "f/20x/features_uni"])
def test_folders_of_clam_and_trident_are_read(tmp_path: Path, place: str) -> None:
    features_folder(tmp_path / place, ["s1", "s2", "s10"])
    cohort = read_cohort(write_csv(tmp_path / "l.csv", ROWS), tmp_path / "f", targets=["label"])
    assert len(cohort) == 3


def drawn_archive(path: Path, *, bags: int = 6) -> Path:
    bag = np.repeat(np.arange(bags), 3).astype(np.int32)
    x = np.random.default_rng(0).normal(size=(len(bag), 4)).astype(np.float32)
    np.savez(path, x=x, bag=bag, y=np.arange(bags) % 2 == 1)
    return path


def test_archive_brings_its_own_labels(tmp_path: Path) -> None:
    cohort = read_cohort(None, drawn_archive(tmp_path / "musk.npz"), targets=["y"])
    assert [case.id for case in cohort.cases] == [str(n) for n in range(6)]
    assert cohort.labels("y")[:, 0].tolist() == [0, 1, 0, 1, 0, 1]
    assert cohort.target("y").kind == "binary"


def test_archive_goes_with_a_labels_file(tmp_path: Path) -> None:
    rows = [{"bag": str(n), "patient": f"p{n // 2}", "label": "ab"[n % 2]} for n in range(6)]
    cohort = read_cohort(write_csv(tmp_path / "l.csv", rows), drawn_archive(tmp_path / "x.npz"), targets=["label"])
    assert [case.patient for case in cohort.cases] == ["p0", "p0", "p1", "p1", "p2", "p2"]


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"x": np.zeros((3, 2))}, "expected x .* and bag"),
        ({"x": np.zeros((3, 2)), "bag": np.zeros(2, int)}, "expected x"),
        ({"x": np.zeros((3, 2)), "bag": np.zeros(3)}, "expected x"),
        ({"x": np.zeros((3, 2)), "bag": np.array([0, 1, 1])}, "no y"),
        ({"x": np.zeros((3, 2)), "bag": np.array([0, 1, 1]), "y": np.zeros(3)}, "one value for each of 2 bags"),
        ({"x": np.full((3, 2), object()), "bag": np.zeros(3, int)}, "not a readable .npz"),
    ],
)
def test_unusable_archive_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray], told: str) -> None:
    np.savez(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(LabelsError, match=told):
        read_cohort(None, tmp_path / "x.npz", targets=["y"])


def test_bytes_that_are_no_archive_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(LabelsError, match=r"not a readable \.npz"):
        read_cohort(None, tmp_path / "x.npz", targets=["y"])


def test_bags_of_two_encoders_do_not_mix(tmp_path: Path) -> None:
    features = features_folder(tmp_path / "f", ["s1", "s2"])
    write_h5(features / "s10.h5", drawn_bag(3), encoder="other")
    with pytest.raises(EncoderMismatchError, match="s1 and s10: bags of different encoders"):
        read_cohort(write_csv(tmp_path / "l.csv", ROWS), features, targets=["label"])


def test_damaged_files_are_told_together(tmp_path: Path) -> None:
    features = features_folder(tmp_path / "f", ["s1", "s2", "s10"])
    (features / "s1.h5").write_bytes(b"no HDF5")
    write_h5(features / "s2.h5", np.full((3, 8), np.nan, np.float32))
    with pytest.raises(ArtifactError, match=r"(?s)s1\.h5: not a readable.*s2\.h5: features holds NaN"):
        read_cohort(write_csv(tmp_path / "l.csv", ROWS), features, targets=["label"])


def test_features_changed_since_the_run_are_refused(tmp_path: Path) -> None:
    out = out_folder(tmp_path / "out", {"s1.svs": None, "s2.svs": None, "s10.svs": None})
    journal = out / "results.jsonl"
    path = next(out.glob("slides/s2-*/features.h5"))
    digest = sha256_file(path)
    journal.write_text(journal.read_text().replace('"artifacts": {}', f'"artifacts": {{"features.h5": "{digest}"}}'))
    with pytest.raises(ArtifactError, match=r"(?s)s1.*changed since it was written.*s10"):
        read_cohort(write_csv(tmp_path / "l.csv", ROWS), out, targets=["label"])


def test_empty_bags_are_left_out_and_told(tmp_path: Path) -> None:
    features = features_folder(tmp_path / "f", ["s1", "s10"])
    write_h5(features / "s2.h5", np.zeros((0, 8), np.float32))
    cohort = read_cohort(write_csv(tmp_path / "l.csv", ROWS), features, targets=["label"])
    assert [case.id for case in cohort.cases] == ["s1", "s10"]
    assert codes(cohort) == {"empty-bags"}


def test_without_a_patient_column_nothing_is_guessed(tmp_path: Path) -> None:
    rows = [{"slide": row["slide"], "label": row["label"]} for row in ROWS]
    features = features_folder(tmp_path / "f", ["s1", "s2", "s10"])
    path = write_csv(tmp_path / "l.csv", rows)
    with pytest.raises(LabelsError, match="no column says the patient"):
        read_cohort(path, features, targets=["label"])
    assert len(read_cohort(path, features, targets=["label"], patient="slide")) == 3
    with pytest.raises(LabelsError, match="no column 'pateint'"):
        read_cohort(path, features, targets=["label"], patient="pateint")


def test_barcodes_tell_the_patients(tmp_path: Path) -> None:
    slides = ["TCGA-AA-0001-01Z-00-DX1", "TCGA-AA-0001-01Z-00-DX2", "TCGA-AA-0002-01Z-00-DX1"]
    features = features_folder(tmp_path / "f", slides)
    rows = [{"slide": name, "label": label} for name, label in zip(slides, "aab", strict=True)]
    cohort = read_cohort(write_csv(tmp_path / "l.csv", rows), features, targets=["label"])
    assert [case.patient for case in cohort.cases] == ["tcga-aa-0001", "tcga-aa-0001", "tcga-aa-0002"]
    assert codes(cohort) == {"patients-from-names"}


def test_a_line_about_a_case_covers_all_its_slides(tmp_path: Path) -> None:
    slides = [
        "TCGA-AA-0001-01Z-00-DX1.8319DF99-1663-48DE-BB6A-A156FBAC2EA1",
        "TCGA-AA-0001-01Z-00-DX2",
        "TCGA-AA-0002-01Z-00-DX1",
    ]
    features = features_folder(tmp_path / "f", slides)
    rows = [{"case_id": "TCGA-AA-0001", "label": "a"}, {"case_id": "TCGA-AA-0002", "label": "b"}]
    path = write_csv(tmp_path / "l.csv", rows)
    assert len(read_cohort(path, features, targets=["label"])) == 3
    cohort = read_cohort(path, features, targets=["label"], bag="patient")
    assert [(case.id, len(case.slides)) for case in cohort.cases] == [("TCGA-AA-0001", 2), ("TCGA-AA-0002", 1)]


def test_disguised_patients_are_merged_and_named(tmp_path: Path) -> None:
    rows = [{**row, "patient": patient} for row, patient in zip(ROWS, ["P-01", "p 1", "P-2"], strict=True)]
    cohort = drawn_cohort(tmp_path, rows)
    assert [case.patient for case in cohort.cases] == ["P-01", "P-01", "P-2"]
    assert [(f.code, f.names) for f in cohort.findings] == [("merged-patients", ("P-01", "p 1"))]


def test_disguised_patients_stay_apart_only_when_asked(tmp_path: Path) -> None:
    rows = [{**row, "patient": patient} for row, patient in zip(ROWS, ["P-01", "p 1", "P-2"], strict=True)]
    features = features_folder(tmp_path / "f", ["s1", "s2", "s10"])
    cohort = read_cohort(write_csv(tmp_path / "l.csv", rows), features, targets=["label"], merge_ids=False)
    assert len({case.patient for case in cohort.cases}) == 3
    assert codes(cohort) == {"merged-patients"}


def test_a_patient_of_two_sites_is_told(tmp_path: Path) -> None:
    rows = [{**row, "site": site} for row, site in zip(ROWS, "ABB", strict=True)]
    assert codes(drawn_cohort(tmp_path, rows)) == {"patients-of-several-sites"}


def test_whole_numbers_as_classes_may_be_grades(tmp_path: Path) -> None:
    rows = [{**row, "label": value} for row, value in zip(ROWS, "123", strict=True)]
    assert codes(drawn_cohort(tmp_path, rows)) == {"ordered-classes"}


def test_no_features_anywhere_is_an_error(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "l.csv", ROWS)
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "absent", tmp_path / "empty"):
        with pytest.raises(LabelsError, match=r"no (such folder|features there)"):
            read_cohort(path, folder, targets=["label"])

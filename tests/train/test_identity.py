"""One patient in disguise is caught; two patients of alike names stay two."""

import pytest

from wsi.train.identity import known_patient, merge_patients, patient_key

DISGUISES = {
    "P-001": ["p-001", " P-001 ", "P001", "P_001", "P 001", "P-1", "P‐001", "Ｐ-００１", "Р-001", "P-001.svs", "P\u200b001", "'P-001'", "P.001", "p\u00a0001"],
    "TCGA-AB-1234": ["TCGA-AB-1234-01A", "tcga-ab-1234-01Z-00-DX1", "TCGA_AB_1234", "TCGA.AB.1234", "TCGA-AB-1234-11A-01-TS1.svs", "TCGA-AB-1234-01Z-00-DX1.8319DF99-1663-48DE-BB6A-A156FBAC2EA1.svs", "TCGAAB1234"],
    "12": ["12.0", "012", "Patient 12", " 12", "１２", "subject_12"],
    "Müller 7": ["Mu\u0308ller 7", "MÜLLER-7", "müller07"],
    "C3L-00001": ["C3L-00001-21", "c3l_00001-26.svs"],
    "GTEX-1117F": ["GTEX-1117F-0126", "gtex-1117f-0226.svs"],
}  # fmt: skip
DIFFERENT = [
    ("P1", "P11"), ("P-1-2", "P-12"), ("P-1-2", "P-1-3"), ("P1", "Q1"), ("P10", "P1"), ("P100", "P10"), ("1-23", "12-3"),
    ("TCGA-AB-1234", "TCGA-AB-1235"), ("TCGA-AB-1234", "TCGA-AC-1234"), ("TCGA-05-4244", "TCGA-5-4244X"), ("A12", "A12B"),
    ("C3L-00001", "C3N-00001"), ("GTEX-1117F", "GTEX-111CU"), ("12.1", "121"), ("P1.1", "P11"), ("ab", "abc"), ("0", "00a"),
    ("patient", "subject"), ("Петров", "Иванов"), ("3.14", "314"), ("1e3", "1000"), ("山田", "山本"), ("😀", "😁"), ("P1A", "P1B"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "disguise"), [(name, d) for name, many in DISGUISES.items() for d in many])
def test_disguise_of_a_patient_is_seen_through(name: str, disguise: str) -> None:
    assert patient_key(disguise) == patient_key(name)


def test_ten_disguises_of_one_patient_are_one() -> None:
    ids = ["P-001", *DISGUISES["P-001"][:10], "P-011", "P-1-1"]
    names, merges = merge_patients({patient: [f"slide{at}"] for at, patient in enumerate(ids)})
    assert len({names[patient] for patient in ids[:11]}) == 1
    assert len(set(names.values())) == 3
    assert [set(merge.spellings) for merge in merges] == [set(ids[:11])]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_alike_names_of_two_patients_stay_apart(one: str, other: str) -> None:
    assert patient_key(one) != patient_key(other)


def test_a_thousand_numbered_patients_stay_a_thousand() -> None:
    for form in ("P{}", "P-{:04d}", "{}", "site1-{}", "TCGA-AB-{:04d}", "A{}B"):
        assert len({patient_key(form.format(number)) for number in range(1000)}) == 1000


def test_centers_and_numbers_stay_apart() -> None:
    ids = [f"{center}-{number}" for center in range(40) for number in range(40)]
    assert len({patient_key(one) for one in ids}) == 1600


@pytest.mark.parametrize(
    ("slide", "patient"),
    [
        ("TCGA-CR-7395-01A-01-TS1.svs", "tcga-cr-7395"),
        ("a/b/TCGA-CR-7395-01Z-00-DX1.svs", "tcga-cr-7395"),
        ("C3L-00104-21.svs", "c3l-00104"),
        ("GTEX-1117F-0126.svs", "gtex-1117f"),
        ("patient_017_node_2.tif", "patient-017"),
        ("tumor_009.tif", None),
        ("patient_017.tif", None),
        ("CMU-1.svs", None),
        ("", None),
    ],
)
def test_public_cohorts_tell_the_patient_in_the_slide(slide: str, patient: str | None) -> None:
    assert known_patient(slide) == patient


def test_slides_of_one_barcode_join_the_ids_they_stand_under() -> None:
    names, merges = merge_patients(
        {"17": ["TCGA-CR-7395-01A.svs"], "23": ["TCGA-CR-7395-11A.svs", "x.svs"], "42": ["TCGA-CR-7396-01A.svs"]}
    )
    assert names == {"17": "23", "23": "23", "42": "42"}
    assert [(merge.spellings, merge.reason) for merge in merges] == [(("17", "23"), "their slides' names say so")]


def test_order_of_ids_changes_no_name() -> None:
    slides = {patient: [f"{patient} {n}" for n in range(2)] for patient in ("P1", "p 01", "P-1", "Q2", "q02", "R3")}
    assert merge_patients(slides)[0] == merge_patients(dict(reversed(slides.items())))[0]

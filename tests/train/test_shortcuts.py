"""Trivial traits that tell the label are found, and those that don't stay quiet."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.train.make_cohort import features_folder, out_folder, write_csv, write_h5
from tests.train.make_pictures import as_it_is, pictures_folder, scene, with_border
from wsi.errors import LabelsError
from wsi.table import read_table
from wsi.train import Case, Cohort, Target
from wsi.train.gather import Ask
from wsi.train.shortcut_report import ShortcutReport
from wsi.train.shortcuts import Probe, martingale_residuals, probe_traits, squared
from wsi.train.trivial import trivial_traits

LABELS = [at % 2 for at in range(60)]
ASK = Ask(("label",))


def labels_csv(path: Path, rows: Sequence[Mapping[str, object]] | None = None) -> Path:
    drawn = [{"image": f"i{at}.png", "patient": f"p{at}", "label": "ab"[label]} for at, label in enumerate(LABELS)]
    return write_csv(path, rows or drawn)


def probes(cohort: Cohort, traits: Mapping[str, np.ndarray]) -> dict[str, Probe]:
    return {probe.trait: probe for probe in probe_traits(cohort, traits)}


def test_border_color_is_caught_and_the_rest_is_quiet(tmp_path: Path) -> None:
    folder = pictures_folder(tmp_path / "p", LABELS, with_border)
    found = probes(*trivial_traits(labels_csv(tmp_path / "l.csv"), folder, ASK))
    border = found["border color"]
    assert border.warns
    assert border.figure.value is not None
    assert border.figure.value > 0.9
    assert not found["mean color"].warns
    assert found["picture size"].figure.reason == "the same for all cases"


def test_nothing_is_found_where_there_is_nothing(tmp_path: Path) -> None:
    folder = pictures_folder(tmp_path / "p", LABELS, as_it_is)
    cohort, traits = trivial_traits(labels_csv(tmp_path / "l.csv"), folder, ASK)
    assert not any(probe.warns for probe in probe_traits(cohort, traits))
    assert ShortcutReport(cohort, tuple(probe_traits(cohort, traits))).text().startswith("Warnings\n  none\n")


def test_size_of_the_file_is_caught(tmp_path: Path) -> None:
    folder = pictures_folder(tmp_path / "p", LABELS, as_it_is)
    for at in range(1, 60, 2):
        with (folder / f"i{at}.png").open("ab") as file:
            file.write(b"\0" * 4000)
    assert probes(*trivial_traits(labels_csv(tmp_path / "l.csv"), folder, ASK))["file size"].warns


def test_pictures_of_one_patient_are_tested_together(tmp_path: Path) -> None:
    """Each patient has a color and a label, both at random: by picture that looks like evidence."""
    rng = np.random.default_rng(5)
    labels = rng.permutation(np.arange(60) // 5 % 2)
    labels = np.repeat(rng.permutation(np.arange(12) % 2), 5)
    shades = np.repeat(rng.integers(60, 190, (12, 3)), 5, axis=0)
    folder = pictures_folder(
        tmp_path / "p", list(range(60)), lambda pixels, at: np.clip(pixels * 0.1 + shades[at], 0, 255).astype(np.uint8)
    )
    rows = [{"image": f"i{at}.png", "patient": f"p{at // 5}", "label": "ab"[labels[at]]} for at in range(60)]
    whole = probes(*trivial_traits(labels_csv(tmp_path / "1.csv", rows), folder, ASK))["mean color"]
    apart = [{**row, "patient": row["image"]} for row in rows]
    leaky = probes(*trivial_traits(labels_csv(tmp_path / "2.csv", apart), folder, ASK))["mean color"]
    assert leaky.warns
    assert not whole.warns
    assert whole.figure.patients == 12


def test_copies_make_one_patient(tmp_path: Path) -> None:
    folder = pictures_folder(tmp_path / "p", LABELS, as_it_is)
    Image.fromarray(np.ascontiguousarray(np.rot90(scene(0)))).save(folder / "i1.png")
    (folder / "i3.png").write_bytes((folder / "i2.png").read_bytes())
    cohort, _ = trivial_traits(labels_csv(tmp_path / "l.csv"), folder, ASK)
    owner = {case.id: case.patient for case in cohort.cases}
    assert owner["i0.png"] == owner["i1.png"]
    assert owner["i2.png"] == owner["i3.png"]
    assert [finding.code for finding in cohort.findings] == ["duplicates", "near-duplicates"]


def test_site_is_a_trait_when_there_is_one(tmp_path: Path) -> None:
    folder = pictures_folder(tmp_path / "p", LABELS, as_it_is)
    rows = [
        {"image": f"i{at}.png", "patient": f"p{at}", "label": "ab"[label], "site": f"s{label if at < 50 else at % 3}"}
        for at, label in enumerate(LABELS)
    ]
    assert probes(*trivial_traits(labels_csv(tmp_path / "l.csv", rows), folder, ASK))["site"].warns


def test_unreadable_pictures_are_told_together(tmp_path: Path) -> None:
    folder = pictures_folder(tmp_path / "p", LABELS, as_it_is)
    for at in (3, 7):
        (folder / f"i{at}.png").write_bytes(b"none")
    with pytest.raises(LabelsError, match=r"(?s)i3\.png.*i7\.png"):
        trivial_traits(labels_csv(tmp_path / "l.csv"), folder, ASK)


def test_bag_size_of_features_is_caught(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    for at, label in enumerate(LABELS):
        write_h5(folder / f"i{at}.h5", np.zeros((20 + at % 7 + 30 * label, 2), np.float32))
    cohort, traits = trivial_traits(labels_csv(tmp_path / "l.csv"), folder, ASK)
    assert list(traits) == ["bag size"]
    assert math.isclose(math.exp(traits["bag size"][0, 0]), 20)
    assert probes(cohort, traits)["bag size"].warns


def test_a_run_tells_thumbnails_and_bags(tmp_path: Path) -> None:
    out = out_folder(tmp_path / "out", {f"i{at}.png": None for at in range(60)})
    for at, folder in enumerate(sorted((out / "slides").iterdir(), key=lambda one: int(one.name.split("-")[0][1:]))):
        Image.fromarray(with_border(scene(at), LABELS[at])).save(folder / "thumbnail.jpg")
    cohort, traits = trivial_traits(labels_csv(tmp_path / "l.csv"), out, ASK)
    assert sorted(traits) == ["bag size", "border color", "mean color"]
    assert probes(cohort, traits)["border color"].warns


def test_a_run_without_thumbnails_tells_bags_only(tmp_path: Path) -> None:
    out = out_folder(tmp_path / "out", {f"i{at}.png": None for at in range(60)})
    assert list(trivial_traits(labels_csv(tmp_path / "l.csv"), out, ASK)[1]) == ["bag size"]


def test_archive_tells_bags_only(tmp_path: Path) -> None:
    bag = np.repeat(np.arange(40), np.arange(40) % 2 * 9 + 3)
    np.savez(tmp_path / "x.npz", x=np.zeros((len(bag), 2)), bag=bag, y=np.arange(40) % 2)
    cohort, traits = trivial_traits(None, tmp_path / "x.npz", Ask(("y",)))
    assert probes(cohort, traits)["bag size"].figure.value == 1.0


def drawn(target: Target, values: Sequence[Mapping[str, float | str]]) -> Cohort:
    cases = [Case(f"c{n:03d}", f"p{n:03d}", None, (f"c{n:03d}",), value, {}) for n, value in enumerate(values)]
    return Cohort(tuple(cases), (target,))


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression", "survival"])
def test_every_kind_of_target_is_probed(kind: str, told: bool) -> None:
    rng = np.random.default_rng(1)
    trait = rng.normal(size=(90, 1))
    known = trait[:, 0] if told else rng.normal(size=90)
    third = np.digitize(known, [-0.5, 0.5])
    targets: dict[str, tuple[Target, list[Mapping[str, float | str]]]] = {
        "multiclass": (Target("g", "multiclass", ("a", "b", "c")), [{"g": "abc"[n]} for n in third]),
        "multilabel": (Target("f", "multilabel", ("x", "y")), [{"x": float(v > 0), "y": float(v < 1)} for v in known]),
        "regression": (Target("k", "regression"), [{"k": float(v)} for v in known]),
        "survival": (Target("os", "survival", (), ("t", "e")), [{"t": float(np.exp(-v)), "e": float(n % 4 > 0)} for n, v in enumerate(known)]),
    }  # fmt: skip
    found = probe_traits(drawn(*targets[kind]), {"trait": trait})
    assert len(found) == {"multiclass": 3, "multilabel": 2}.get(kind, 1)
    assert all(probe.warns for probe in found) if told else not any(probe.warns for probe in found)


def test_cases_without_the_trait_are_left_out() -> None:
    trait = np.arange(60.0)[:, None]
    trait[::6] = np.nan
    (probe,) = probe_traits(
        drawn(Target("x", "binary", ("a", "b")), [{"x": "ab"[n > 30]} for n in range(60)]), {"t": trait}
    )
    assert probe.figure.n == 50


def test_squares_and_products_are_of_centered_values() -> None:
    found = squared(np.array([[0.0, 1.0], [2.0, 5.0]]))
    np.testing.assert_array_equal(found, [[-1, -2, 1, 2, 4], [1, 2, 1, 2, 4]])


def test_martingale_residuals_are_as_by_hand() -> None:
    """Times 1, 2, 3 with an event at 1 and 3: 1/3 is due at 1, 1/3 at 2 and 1/3 + 1 at 3."""
    found = martingale_residuals(np.array([[2.0, 0.0], [1.0, 1.0], [3.0, 1.0]]))
    np.testing.assert_allclose(found, [-1 / 3, 1 - 1 / 3, 1 - 4 / 3])


DATA = os.environ.get("WSI_DATA")


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="WSI_DATA names no folder of real data")
@pytest.mark.parametrize(
    ("set_of", "trait", "area"), [("derm", "border color", 0.785), ("lung", "mean color", 0.999)]
)  # fmt: skip
def test_known_shortcuts_of_real_sets_are_found(tmp_path: Path, set_of: str, trait: str, area: float) -> None:
    """Border color tells melanoma on HAM10000, color benign from malignant on LC25000."""
    root = Path(DATA or "")
    if set_of == "derm":
        folder = root / "images" / "derm" / "ham"
        listed = [row.values for row in read_table(root / "images" / "manifest.csv").rows]
        known = [
            (row["path"].rsplit("/", 1)[1], row["label"]) for row in listed if row["path"].startswith("derm/ham/ISIC")
        ]
        rows = [{"image": name, "patient": name, "label": label} for name, label in known if label]
    else:
        folder = root / "tiles" / "lc25000_lung"
        listed = [row.values for row in read_table(folder / "labels.csv").rows]
        rows = [{"image": r["file"], "patient": r["group"], "label": str(r["label"] == "benign")} for r in listed]
    found = probes(*trivial_traits(labels_csv(tmp_path / "l.csv", rows), folder, ASK))[trait].figure
    assert found.value == pytest.approx(area, abs=0.005)


def test_features_alone_need_no_pictures(tmp_path: Path) -> None:
    folder = features_folder(tmp_path / "f", [f"i{at}" for at in range(60)])
    assert list(trivial_traits(labels_csv(tmp_path / "l.csv"), folder, ASK)[1]) == ["bag size"]

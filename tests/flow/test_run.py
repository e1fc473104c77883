"""One command from a folder of slides to results, and what it does when it is run again."""

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flow.conftest import SIDE, Command
from tests.traps import write_trap

Tree = Callable[[Path], dict[str, str]]
FOR_PEOPLE = ("heatmap.ome.tiff", "heatmap.png", "result.json", "tissue.geojson", "features.h5", "scores.h5")


def records(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_every_slide_gets_its_files(clean: Path) -> None:
    told = records(clean)
    assert [r["path"] for r in told] == ["a/1.svs", "b/1.svs", "c.svs"]
    assert {r["status"] for r in told} == {"ok"}
    for record in told:
        folder = clean / "slides" / str(record["slide"])
        for name in FOR_PEOPLE:
            assert (folder / name).stat().st_size > 0
        assert len(list(folder.glob("*.geojson.gz"))) == 1
    for name in ("run.yaml", "predictions.csv", "report.html", "qupath/project.qpproj", "SHA256SUMS"):
        assert (clean / name).stat().st_size > 0


def test_slides_of_one_name_never_meet(clean: Path) -> None:
    ids = [str(r["slide"]) for r in records(clean)]
    assert len(set(ids)) == 3
    one, other = (clean / "slides" / i / "features.h5" for i in ids[:2])
    assert one.read_bytes() != other.read_bytes()


def test_table_has_a_row_for_every_slide(clean: Path) -> None:
    with (clean / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert {row["status"] for row in rows} == {"ok"}


def test_rerun_redoes_nothing(command: Command, slides: Path, clean: Path, tree: Tree) -> None:
    before = tree(clean)
    times = {path: path.stat().st_mtime_ns for path in clean.rglob("*") if path.is_file()}
    assert command(slides, "-o", clean, "-q").status == 0
    assert tree(clean) == before
    assert {path: path.stat().st_mtime_ns for path in clean.rglob("*") if path.is_file()} == times


def test_changed_slide_is_redone_and_its_old_result_goes(
    command: Command, slides: Path, clean: Path, tmp_path: Path, tree: Tree
) -> None:
    folder, out = tmp_path / "slides", tmp_path / "OUT"
    shutil.copytree(slides, folder)
    shutil.copytree(clean, out)
    assert command(folder, "-o", out, "-q").status == 0
    write_trap(folder / "c.svs", side=SIDE // 2, seed=9)
    assert command(folder, "-o", out, "-q").status == 0
    fresh = tmp_path / "fresh"
    assert command(folder, "-o", fresh, "-q").status == 0
    assert tree(out) == tree(fresh)


def test_slide_of_the_same_path_elsewhere_stays(command: Command, tmp_path: Path) -> None:
    one, other, out = tmp_path / "one", tmp_path / "other", tmp_path / "OUT"
    for seed, folder in enumerate((one, other)):
        write_trap(folder / "1.svs", side=SIDE // 2, seed=seed)
        assert command("tile", folder, "-o", out, "-q").status == 0
    assert [r["path"] for r in records(out)] == ["1.svs", "1.svs"]
    assert len(list(out.glob("slides/*/coords.h5"))) == 2
    assert command("verify", out).status == 0


def test_slides_whose_names_differ_by_composition_only_both_stay(command: Command, tmp_path: Path) -> None:
    folder, out = tmp_path / "slides", tmp_path / "OUT"
    for seed, name in enumerate(("\u00e9.svs", "e\u0301.svs")):
        write_trap(folder / name, side=SIDE // 2, seed=seed)
    if len(list(folder.iterdir())) < 2:
        pytest.skip("this file system takes both names for one")
    for _ in range(2):
        assert command("tile", folder, "-o", out, "-q").status == 0
        assert len(records(out)) == len(list(out.glob("slides/*/coords.h5"))) == 2


def test_repaired_slide_takes_the_place_of_its_refusal(command: Command, tmp_path: Path) -> None:
    folder, out = tmp_path / "slides", tmp_path / "OUT"
    folder.mkdir()
    (folder / "1.svs").symlink_to(tmp_path / "nowhere")
    assert command("tile", folder, "-o", out, "-q").status == 3
    (folder / "1.svs").unlink()
    (folder / "1.svs").write_bytes(b"text")
    assert command("tile", folder, "-o", out, "-q").status == 3
    assert len(records(out)) == 1
    write_trap(folder / "1.svs", side=SIDE // 2)
    assert command("tile", folder, "-o", out, "-q").status == 0
    assert [(r["path"], r["status"]) for r in records(out)] == [("1.svs", "ok")]


def test_table_that_contradicts_a_slide_is_noticed_later_too(command: Command, tmp_path: Path) -> None:
    folder, out, table = tmp_path / "slides", tmp_path / "OUT", tmp_path / "mpp.csv"
    write_trap(folder / "1.svs", side=SIDE // 2, mpp=0.5)
    assert command("tissue", folder, "-o", out, "-q").status == 0
    before = (out / "results.jsonl").read_bytes()
    table.write_text("slide,mpp\n1.svs,0.52\n")
    assert command("tissue", folder, "-o", out, "-q", "--mpp-table", table).status == 0
    assert (out / "results.jsonl").read_bytes() == before
    table.write_text("slide,mpp\n1.svs,0.25\n")
    assert command("tissue", folder, "-o", out, "-q", "--mpp-table", table).status == 3
    assert [r["code"] for r in records(out)] == ["E_MPP_CONFLICT"]


def test_changed_setting_redoes_what_depends_on_it(command: Command, slides: Path, clean: Path, tmp_path: Path) -> None:
    out = tmp_path / "OUT"
    shutil.copytree(clean, out)
    first = {p.relative_to(out): p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    assert command(slides / "c.svs", "-o", out, "-q", "--overlap", "0.5").status == 0
    changed = {p.name for p in out.rglob("*") if p.is_file() and first.get(p.relative_to(out)) != p.stat().st_mtime_ns}
    assert {"coords.h5", "features.h5", "heatmap.png"} <= changed
    assert not {"tissue.geojson", "thumbnail.jpg"} & changed


def test_copied_slide_folder_gives_the_same_bytes(
    command: Command, slides: Path, clean: Path, tmp_path: Path, tree: Tree
) -> None:
    out = tmp_path / "OUT"
    shutil.copytree(slides, tmp_path / "elsewhere")
    more = {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C", "HOME": "/nonexistent"}
    assert command("elsewhere", "-o", "OUT", "-q", "-j", "2", more=more, cwd=tmp_path).status == 0
    assert tree(out) == tree(clean)


def test_export_needs_no_slides_and_gives_the_same_bytes(
    command: Command, clean: Path, tmp_path: Path, tree: Tree
) -> None:
    out = tmp_path / "OUT"
    shutil.copytree(clean, out)
    for path in [*out.glob("slides/*/heatmap*"), *out.glob("slides/*/*.geojson.gz"), out / "report.html"]:
        path.unlink()
    assert command("export", out, "-q").status == 0
    assert tree(out) == tree(clean)


def test_export_makes_nothing_of_what_was_changed_and_keeps_the_features(
    command: Command, slides: Path, clean: Path, tmp_path: Path, tree: Tree
) -> None:
    out = tmp_path / "OUT"
    shutil.copytree(clean, out)
    one, other, _ = sorted((out / "slides").iterdir())
    changed, book = one / "thumbnail.jpg", other / "stages.json"
    changed.write_bytes(changed.read_bytes() + b"x")
    book.write_bytes(book.read_bytes().replace(b'"malignant"', b'"benign"'))
    kept = {path.name for path in other.iterdir()}
    ended = command("export", out, "-q")
    assert ended.status == 3
    assert ended.stdout.count("E_ARTIFACT") == 2
    assert "its stages.json is missing or was changed" in ended.stdout
    assert {path.name for path in other.iterdir()} == kept
    assert f"changed: slides/{one.name}/thumbnail.jpg" in command("verify", out).stdout
    assert command(slides, "-o", out, "-q").status == 0
    assert tree(out) == tree(clean)


def test_export_leaves_a_rejected_file_rejected(command: Command, clean: Path, tmp_path: Path, tree: Tree) -> None:
    out, again = tmp_path / "OUT", tmp_path / "again"
    (tmp_path / "slides").mkdir()
    os.mkfifo(tmp_path / "slides" / "fifo.svs")
    assert command(tmp_path / "slides", "-o", out, "-q").status == 3
    shutil.copytree(out, again)
    assert command("export", again, "-q").status == 3
    assert tree(again) == tree(out)
    assert [(r["status"], r["code"]) for r in records(again)] == [("refused", "E_UNREADABLE")]


def test_run_on_one_slide_vouches_for_no_other(command: Command, slides: Path, clean: Path, tmp_path: Path) -> None:
    out = tmp_path / "OUT"
    shutil.copytree(clean, out)
    changed = sorted(out.glob("slides/*/thumbnail.jpg"))
    for path in changed:
        path.write_bytes(path.read_bytes() + b"x")
    command(slides / "c.svs", "-o", out, "-q")
    told = command("verify", out).stdout
    assert sum(f"changed: slides/{path.parent.name}/thumbnail.jpg" in told for path in changed) >= len(changed) - 1


def test_dry_run_tells_the_plan_and_writes_nothing(command: Command, slides: Path, tmp_path: Path) -> None:
    ended = command(slides, "-o", tmp_path / "OUT", "--dry-run", "--json")
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.status == 0
    assert [row["width"] for row in rows] == [SIDE, SIDE, SIDE // 2]
    assert all(row["tiles"] > 0 and not row["code"] for row in rows)
    assert not (tmp_path / "OUT").exists()


def test_dry_run_tells_what_the_run_refuses(command: Command, tmp_path: Path) -> None:
    """One slide has no polygons of its own, the other is smaller than a tile."""
    folder, drawn = tmp_path / "slides", tmp_path / "drawn"
    write_trap(folder / "large.svs", side=SIDE)
    write_trap(folder / "small.svs", side=200)
    drawn.mkdir()
    square = {"type": "Polygon", "coordinates": [[[0, 0], [200, 0], [200, 200], [0, 200], [0, 0]]]}
    area = {"type": "Feature", "geometry": square, "properties": {}}
    (drawn / "small.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [area]}))
    out = tmp_path / "OUT"
    options = ("tile", folder, "-o", out, "--tissue", drawn, "--tile-px", "2048", "--tile-mpp", "0.5")
    ended = command(*options, "--dry-run", "--json")
    assert command(*options, "-q").status == ended.status == 3
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [(r["code"], r["reason"]) for r in told] == [(r["code"], r["reason"]) for r in records(out)]
    assert {row["code"] for row in told} == {"E_NO_TISSUE"}


def test_stages_one_by_one_give_the_bytes_of_the_whole(
    command: Command, slides: Path, clean: Path, tmp_path: Path, tree: Tree
) -> None:
    out = tmp_path / "OUT"
    for stage in ("tissue", "tile", "encode", "predict"):
        assert command(stage, slides, "-o", out, "-q").status == 0
    assert command(slides, "-o", out, "-q").status == 0
    assert tree(out) == tree(clean)


def test_features_recipe_needs_no_model(command: Command, slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "OUT"
    assert command(slides / "c.svs", "-o", out, "-q", "-c", "features").status == 0
    assert len(list(out.glob("slides/*/features.h5"))) == 1
    assert not list(out.glob("slides/*/scores.h5"))


def test_verify_names_each_file_in_which_a_byte_changed(command: Command, clean: Path, tmp_path: Path) -> None:
    out = tmp_path / "OUT"
    shutil.copytree(clean, out)
    assert command("verify", out).status == 0
    changed = sorted(p for p in out.rglob("*") if p.is_file() and p.name != "SHA256SUMS")[::4]
    for path in changed:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
    ended = command("verify", out)
    assert ended.status == 3
    told = [line for line in ended.stdout.splitlines() if line.startswith("changed: ")]
    assert told == [f"changed: {path.relative_to(out)}" for path in changed]


def test_bad_slides_cost_no_more_than_themselves(
    command: Command, slides: Path, clean: Path, tmp_path: Path, tree: Tree
) -> None:
    """Two that are no slides, one of which a tile crashes the decoder, and one whose opening does."""
    folder, out = tmp_path / "slides", tmp_path / "OUT"
    shutil.copytree(slides, folder)
    (folder / "bad.svs").write_bytes(b"")
    (folder / "bad-text.svs").write_bytes(b"text")
    write_trap(folder / "bad-tile.svs", side=SIDE, harm={"kind": "segv", "x": 1100, "y": 1100})
    write_trap(folder / "bad-opening.svs", harm={"kind": "open"})
    assert command(folder, "-o", out, "-q").status == 3
    told = {r["path"]: r for r in records(out)}
    assert {path: (r["status"], r["code"]) for path, r in told.items() if r["status"] != "ok"} == {
        "bad.svs": ("refused", "E_UNREADABLE"),
        "bad-text.svs": ("refused", "E_UNREADABLE"),
        "bad-tile.svs": ("partial", "E_REGION"),
        "bad-opening.svs": ("failed", "E_CRASH"),
    }
    assert told["bad-tile.svs"]["tiles"]["unreadable"] == 1  # type: ignore[index]
    good = {name: digest for name, digest in tree(out / "slides").items() if not name.startswith("bad")}
    assert good == tree(clean / "slides")


def test_slide_whose_name_is_not_utf8_is_worked_on(command: Command, tmp_path: Path) -> None:
    folder, out = tmp_path / "slides", tmp_path / "OUT"
    folder.mkdir()
    try:
        write_trap(folder / os.fsdecode(b"lat\xe9.svs"), side=SIDE // 2)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert command("tile", folder, "-o", out, "-q").status == 0
    assert [(r["path"], r["status"]) for r in records(out)] == [("lat\\xe9.svs", "ok")]
    assert command("verify", out).status == 0


def test_names_that_are_not_utf8_are_spelled_out_and_listed(command: Command, tmp_path: Path) -> None:
    folder, out = tmp_path / "slides", tmp_path / "OUT"
    folder.mkdir()
    try:
        (folder / os.fsdecode(b"\xff\xfe.svs")).write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 100)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (folder / os.fsdecode(b"\xff.txt")).symlink_to("nowhere")
    (out / "slides").mkdir(parents=True)
    mine = out / os.fsdecode(b"lat\xe9.txt")
    mine.write_text("mine")
    assert command("tissue", folder, "-o", out, "-q").status == 3
    told = {str(r["path"]): r for r in records(out)}
    assert {path: (r["status"], r["code"]) for path, r in told.items()} == {
        "\\xff\\xfe.svs": ("refused", "E_UNREADABLE"),
        "\\xff.txt": ("refused", "E_UNREADABLE"),
    }
    assert str(told["\\xff\\xfe.svs"]["reason"]).startswith("\\xff\\xfe.svs: ")
    assert command("verify", out).status == 0
    mine.write_text("changed")
    assert "changed: lat\\xe9.txt" in command("verify", out).stdout


def test_renamed_slide_is_told_by_its_new_name(command: Command, tmp_path: Path, tree: Tree) -> None:
    folder, out, fresh = tmp_path / "slides", tmp_path / "OUT", tmp_path / "fresh"
    write_trap(folder / "c.svs", side=SIDE // 2)
    assert command("tile", folder, "-o", out, "-q").status == 0
    (folder / "c.svs").rename(folder / "c.tif")
    for place in (out, fresh):
        assert command("tile", folder, "-o", place, "-q").status == 0
    assert tree(out) == tree(fresh)

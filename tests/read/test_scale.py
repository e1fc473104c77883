"""µm per px: where it comes from, and what is refused."""

import os
from pathlib import Path

import pytest

from tests import make
from tests.make_dicom import write_dicom
from wsi.config import ReadConfig
from wsi.errors import ConfigError, MppConflictError, MppMissingError, MppRangeError
from wsi.geometry import Mpp
from wsi.read import MppTable, open_slide, read_mpp_table, resolve_mpp

PICTURE = make.small_picture()[:300, :400]
DEFAULT = ReadConfig()


def _resolve(path: Path, config: ReadConfig = DEFAULT, row: tuple[float, float] | None = None) -> Mpp:
    source = open_slide(path)
    try:
        return resolve_mpp(source, path.name, config, row=row)
    finally:
        source.close()


@pytest.mark.parametrize("mpp", [0.2, 0.263, 0.4990, 1.0])
def test_vendor_metadata_is_taken_as_it_is(tmp_path: Path, mpp: float) -> None:
    path = make.write_svs(tmp_path / "a.svs", PICTURE, mpp=mpp, power=round(10 / mpp))
    assert _resolve(path) == Mpp(mpp, mpp, source="metadata")


def test_tiff_tags_are_used_and_named(tmp_path: Path) -> None:
    found = _resolve(make.write_tiff(tmp_path / "a.tiff", PICTURE, mpp=0.25))
    assert (found.x, found.y) == pytest.approx((0.25, 0.25))
    assert found.source == "tiff-tags"


def test_plain_rgb_strips_take_their_scale_from_the_tags(tmp_path: Path) -> None:
    found = _resolve(make.write_tiff(tmp_path / "a.tif", PICTURE, mpp=0.4, tile=None))
    assert found.mean == pytest.approx(0.4)
    assert found.source == "tiff-tags"


@pytest.mark.parametrize(("value", "unit", "um"), [(250.0, "nm", 0.25), (0.00025, "mm", 0.25), (0.25, "µm", 0.25)])
@pytest.mark.parametrize("reader", ["openslide", "tiffslide"])
def test_ome_units_are_understood_by_both_readers(
    tmp_path: Path, value: float, unit: str, um: float, reader: str
) -> None:
    path = make.write_ome(tmp_path / "a.ome.tif", PICTURE, mpp=value, unit=unit)
    source = open_slide(path, reader=reader)
    found = resolve_mpp(source, path.name, DEFAULT)
    source.close()
    assert found.x == pytest.approx(um)
    assert found.source == "metadata"


def test_dicom_says_it_by_the_volume_that_was_imaged(tmp_path: Path) -> None:
    path = write_dicom(tmp_path, PICTURE, mpp=(0.25, 0.251), image_type=False, said_as="volume", levels=2)[0]
    found = _resolve(path)
    assert (found.x, found.y) == pytest.approx((0.25, 0.251))


@pytest.mark.parametrize("said", [None, "0", "-0.5", "nan", "inf", "unknown", ""])
def test_mpp_that_is_no_positive_number_counts_as_not_said(tmp_path: Path, said: str | None) -> None:
    path = make.write_svs(tmp_path / "a.svs", PICTURE, mpp=said)
    with pytest.raises(MppMissingError, match=r"a\.svs.*--mpp"):
        _resolve(path)
    assert _resolve(path, ReadConfig(mpp=0.5)) == Mpp(0.5, 0.5, source="command-line")


@pytest.mark.parametrize("dpi", [72, 96])
def test_dpi_of_a_printer_is_refused_by_its_size(tmp_path: Path, dpi: int) -> None:
    # 25,400 µm per inch over 72 and 96 dpi: 352.8 and 264.58 µm per px.
    path = make.write_tiff(tmp_path / "a.tiff", PICTURE, mpp=25400 / dpi)
    with pytest.raises(MppRangeError, match=f"{25400 / dpi:.4g}.*tiff-tags"):
        _resolve(path)
    assert _resolve(path, ReadConfig(mpp=0.5, mpp_override=True)).x == 0.5


@pytest.mark.parametrize("mpp", [0.049, 20.1, 1e6, 1e-6])
def test_mpp_out_of_range_is_refused(tmp_path: Path, mpp: float) -> None:
    with pytest.raises(MppRangeError):
        _resolve(make.write_svs(tmp_path / "a.svs", PICTURE, mpp=f"{mpp:.6f}", power=None))
    bare = make.write_svs(tmp_path / "b.svs", PICTURE, mpp=None, power=None)
    with pytest.raises(MppRangeError, match="--mpp-override"):
        _resolve(bare, ReadConfig(mpp=mpp))
    assert _resolve(bare, ReadConfig(mpp=mpp, mpp_override=True)).x == mpp


@pytest.mark.parametrize(("mpp", "power"), [(0.5, 5), (0.25, 100), (2.5, 40)])
def test_mpp_that_contradicts_the_objective_is_refused(tmp_path: Path, mpp: float, power: int) -> None:
    path = make.write_svs(tmp_path / "a.svs", PICTURE, mpp=mpp, power=power)
    with pytest.raises(MppConflictError, match=f"{power}x"):
        _resolve(path)
    assert _resolve(path, ReadConfig(mpp=0.5, mpp_override=True)).source == "command-line"


@pytest.mark.parametrize(("mpp", "power"), [(0.263, 40), (0.499, 20), (0.2271, 40), (0.1725, 40), (1.0, 10)])
def test_scanners_own_pairs_of_mpp_and_objective_are_accepted(tmp_path: Path, mpp: float, power: int) -> None:
    assert _resolve(make.write_svs(tmp_path / "a.svs", PICTURE, mpp=mpp, power=power)).x == mpp


def test_px_that_are_not_square_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MppConflictError, match="along x"):
        _resolve(make.write_tiff(tmp_path / "a.tiff", PICTURE, mpp=(0.25, 0.5)))
    bare = make.write_tiff(tmp_path / "b.tiff", PICTURE, mpp=None)
    with pytest.raises(MppConflictError, match="along x"):
        _resolve(bare, row=(0.25, 0.5))
    assert _resolve(make.write_tiff(tmp_path / "c.tiff", PICTURE, mpp=(0.25, 0.255))).y == pytest.approx(0.255)


def test_table_fills_what_the_file_does_not_say_and_wins_over_the_command_line(tmp_path: Path) -> None:
    path = make.write_svs(tmp_path / "a.svs", PICTURE, mpp=None)
    assert _resolve(path, ReadConfig(mpp=1.0), row=(0.5, 0.51)) == Mpp(0.5, 0.51, source="table")


def test_table_that_contradicts_the_file_is_refused_unless_told_to_win(tmp_path: Path) -> None:
    path = make.write_svs(tmp_path / "a.svs", PICTURE, mpp=0.5)
    with pytest.raises(MppConflictError, match="table"):
        _resolve(path, row=(0.25, 0.25))
    assert _resolve(path, row=(0.52, 0.52)).source == "metadata"
    assert _resolve(path, ReadConfig(mpp_override=True), row=(0.25, 0.25)) == Mpp(0.25, 0.25, source="table")


def test_table_is_matched_by_path_then_name_then_stem(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("Slide , MPP,note\na/1.svs,0.25,x\n1.svs,0.5,\n1,1.0,\nu\u0308n.svs,0.3,\n", encoding="utf-8-sig")
    rows = read_mpp_table(table)
    assert rows.find("a/1.svs") == (0.25, 0.25)
    assert rows.find("b/1.svs") == (0.5, 0.5)
    assert rows.find("b/1.tif") == (1.0, 1.0)
    assert rows.find("\u00fcn.svs") == (0.3, 0.3)
    assert rows.find("other.svs") is None


def test_table_may_give_x_and_y(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("mpp_y,slide,mpp_x\n0.26,a,0.25\n")
    assert read_mpp_table(table) == MppTable({"a": (0.25, 0.26)})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "columns"),
        (b"name,mpp\na,0.5\n", "columns"),
        (b"slide,mpp_x\na,0.5\n", "columns"),
        (b"slide,mpp\na,0\n", ":2"),
        (b"slide,mpp\na,0.5\nb,-1\n", ":3"),
        (b"slide,mpp\na,nan\n", ":2"),
        (b"slide,mpp\na,inf\n", ":2"),
        (b"slide,mpp\na,half\n", ":2"),
        (b"slide,mpp\na\n", ":2"),
        (b"slide,mpp\n,0.5\n", ":2"),
        (b"slide,mpp\na,0.5\na,0.25\n", "twice"),
        (b"slide,mpp\na,1,5\n", ":2: more values"),
        (b"slide,mpp,MPP\na,1,2\n", "two columns"),
        (b"slide,mpp\n\xff\xfe,0.5\n", "CSV"),
        (b"slide,mpp\n" + b"a" * 200_000 + b",0.5\n", "CSV"),
    ],
)
def test_hostile_table_is_refused_with_its_line(tmp_path: Path, content: bytes, told: str) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes(content)
    with pytest.raises(ConfigError, match=told):
        read_mpp_table(table)


def test_table_that_is_missing_or_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "none.csv", tmp_path, tmp_path / "fifo"):
        with pytest.raises(ConfigError):
            read_mpp_table(path)

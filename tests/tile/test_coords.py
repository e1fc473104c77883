"""coords.h5 comes back as it went out, and says what CLAM and TRIDENT look for."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import shapely

from wsi.errors import ArtifactError
from wsi.geometry import Bounds, Mpp, Point, Size
from wsi.tile import Footprint, TilePlan, plan_tiles, read_coords, write_coords

SLIDE, SIZE = Mpp(0.25, 0.25, source="metadata"), Size(4000, 3000)


def _plan(overlap: float = 0.0) -> TilePlan:
    tissue = shapely.MultiPolygon([shapely.Point(1800, 1500).buffer(900)])
    bounds = Bounds(Point(0, 0), SIZE)
    return plan_tiles(tissue, bounds, tile_px=224, mpp=0.5, footprint=Footprint(448.0, 448.0), overlap=overlap)


def test_plan_comes_back_as_it_was_written(tmp_path: Path) -> None:
    plan = _plan(overlap=0.25)
    write_coords(tmp_path / "coords.h5", plan, slide_mpp=SLIDE, size=SIZE)
    found = read_coords(tmp_path / "coords.h5")
    assert (found.tile_px, found.mpp, found.footprint, found.stride) == (224, 0.5, plan.footprint, plan.stride)
    assert np.array_equal(found.coords, plan.coords)
    assert np.array_equal(found.tissue, plan.tissue)
    assert found.coords.dtype == np.int32
    assert len(found) > 10


def test_plan_without_tiles_comes_back(tmp_path: Path) -> None:
    empty = TilePlan(
        224, 0.5, Footprint(448, 448), Footprint(448, 448), np.zeros((0, 2), np.int32), np.zeros(0, np.float32)
    )
    write_coords(tmp_path / "coords.h5", empty, slide_mpp=SLIDE, size=SIZE)
    assert read_coords(tmp_path / "coords.h5").coords.shape == (0, 2)


def test_attributes_are_those_of_clam_and_trident(tmp_path: Path) -> None:
    write_coords(tmp_path / "coords.h5", _plan(overlap=0.25), slide_mpp=SLIDE, size=SIZE)
    with h5py.File(tmp_path / "coords.h5") as file:
        coords = file["coords"]
        assert coords.shape[1] == 2
        assert np.issubdtype(coords.dtype, np.integer)
        expected = {
            "patch_size": 224,  # px of a tile
            "patch_level": 0,
            "patch_size_level0": 448,  # 112 µm / 0.25
            "level0_magnification": 40,  # 10 / 0.25
            "target_magnification": 20,  # 10 / 0.5
            "overlap": 56,  # a quarter of 224 px
            "level0_width": 4000,
            "level0_height": 3000,
        }
        assert {name: int(coords.attrs[name]) for name in expected} == expected


def test_same_plan_gives_the_same_bytes(tmp_path: Path) -> None:
    digests = {write_coords(tmp_path / f"{i}.h5", _plan(), slide_mpp=SLIDE, size=SIZE) for i in range(3)}
    assert len(digests) == 1


@pytest.mark.parametrize("content", [b"", b"not HDF5", b"\x89HDF\r\n\x1a\n" + b"\0" * 500])
def test_file_that_is_no_plan_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "coords.h5").write_bytes(content)
    with pytest.raises(ArtifactError):
        read_coords(tmp_path / "coords.h5")


def test_plan_of_another_tool_or_cut_off_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["coords"] = np.zeros((3, 2), np.int32)
    with pytest.raises(ArtifactError, match="wsi-run tile"):
        read_coords(tmp_path / "other.h5")
    path = tmp_path / "coords.h5"
    write_coords(path, _plan(), slide_mpp=SLIDE, size=SIZE)
    path.write_bytes(path.read_bytes()[:-64])
    with pytest.raises(ArtifactError):
        read_coords(path)

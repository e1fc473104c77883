import resource
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from wsi.errors import ArtifactError, NoSpaceError
from wsi.hdf5 import Array, read_arrays, whole, write_arrays
from wsi.publish import sha256_file

VALUES = np.arange(3000, dtype=np.float32).reshape(1000, 3)


def blocks(rows: int, block: int) -> list[NDArray[np.generic]]:
    return [VALUES[start : min(start + block, rows)] for start in range(0, rows, block)]


def array(rows: int = 1000, *, block: int = 1000, shape: tuple[int, ...] | None = None) -> Array:
    return Array(shape or (rows, 3), np.dtype(np.float32), blocks(rows, block), {"name": "x"})


def test_h5py_reads_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    coords = np.array([[1, 2], [-3, 4]], np.int32)
    digest = write_arrays(path, {"features": array(), "coords": whole(coords, {"k": 7})}, {"format": "f/1", "x": 0.5})
    assert digest == sha256_file(path)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["features"][:], VALUES)
        np.testing.assert_array_equal(file["coords"][:], coords)
        assert file["features"].dtype == np.float32
        assert file["coords"].dtype == np.int32
        assert dict(file.attrs) == {"format": "f/1", "x": 0.5}
        assert dict(file["coords"].attrs) == {"k": 7}
        assert file["features"].chunks is None


@pytest.mark.parametrize("block", [1, 7, 999])
def test_bytes_depend_on_the_content_alone(block: int, tmp_path: Path) -> None:
    one = write_arrays(tmp_path / "one.h5", {"features": array()}, {"a": 1, "b": "two"})
    other = write_arrays(tmp_path / "deeper" / "other.h5", {"features": array(block=block)}, {"a": 1, "b": "two"})
    assert one == other
    assert write_arrays(tmp_path / "c.h5", {"features": array()}, {"a": 2, "b": "two"}) != one


def test_no_rows_are_an_array_too(tmp_path: Path) -> None:
    path = tmp_path / "empty.h5"
    write_arrays(path, {"features": Array((0, 3), np.dtype(np.float32), [], {}), "n": whole(np.zeros(2))}, {})
    with h5py.File(path) as file:
        assert file["features"].shape == (0, 3)
        assert file["n"][:].tolist() == [0, 0]


@pytest.mark.parametrize(("rows", "shape"), [(999, (1000, 3)), (1000, (999, 3)), (0, (1, 3))])
def test_rows_that_dont_add_up_publish_nothing(rows: int, shape: tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected .* bytes"):
        write_arrays(tmp_path / "a.h5", {"features": array(rows, shape=shape, block=100)}, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", [0, 100, 3000, 8000, 12_000])
def test_full_disk_is_said_and_leaves_the_old_file(limit: int, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(NoSpaceError, match="disk is full"):
            write_arrays(path, {"features": array(block=10)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [one.name for one in tmp_path.iterdir()] == ["a.h5"]
    assert path.read_bytes() == b"old"


def test_an_array_larger_than_memory_is_streamed(tmp_path: Path) -> None:
    """Blocks are asked for one at a time, and none is kept."""
    made: list[weakref.ref[NDArray[np.generic]]] = []

    def stream() -> Iterator[NDArray[np.generic]]:
        for number in range(50):
            assert sum(block() is not None for block in made) <= 1
            block = np.full((20, 3), number, np.float32)
            made.append(weakref.ref(block))
            yield block
            del block

    path = tmp_path / "a.h5"
    write_arrays(path, {"features": Array((1000, 3), np.dtype(np.float32), stream(), {})}, {})
    assert len(made) == 50
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["features"][::20, 0], np.arange(50))


@pytest.mark.parametrize("content", [b"", b"no HDF5", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(500)])
def test_what_isnt_hdf5_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="not a readable HDF5 file"), read_arrays(path):
        pass


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError), read_arrays(tmp_path / "none.h5"):
        pass


def test_errors_inside_the_block_keep_their_kind(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_arrays(path, {"features": array()}, {})
    with pytest.raises(ArtifactError, match="mine"), read_arrays(path):
        raise ArtifactError("mine")
    with pytest.raises(ArtifactError, match="no_such"), read_arrays(path) as file:
        file["no_such"]


def link_to_file(file: h5py.File, secret: Path) -> None:
    file["features"] = h5py.ExternalLink(str(secret), "features")


def link_to_name(file: h5py.File, secret: Path) -> None:
    file["other"] = VALUES
    file["features"] = h5py.SoftLink("/other")


def dangling(file: h5py.File, secret: Path) -> None:
    file["features"] = h5py.SoftLink("/nowhere")


def virtual(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout(VALUES.shape, VALUES.dtype)
    layout[:] = h5py.VirtualSource(str(secret), "features", VALUES.shape)
    file.create_virtual_dataset("features", layout)


def external_bytes(file: h5py.File, secret: Path) -> None:
    file.create_dataset("features", VALUES.shape, VALUES.dtype, external=[(str(secret), 0, VALUES.nbytes)])


@pytest.mark.parametrize("outside", [link_to_file, link_to_name, dangling, virtual, external_bytes])
def test_data_outside_the_file_is_never_read(outside: Callable[[h5py.File, Path], None], tmp_path: Path) -> None:
    secret, path = tmp_path / "secret.h5", tmp_path / "a.h5"
    write_arrays(secret, {"features": array()}, {})
    with h5py.File(path, "w") as file:
        outside(file, secret)
    with pytest.raises(ArtifactError, match="'features' is"), read_arrays(path):
        pass


READ_IN_CHILD = """
import sys
from pathlib import Path
from wsi.errors import ArtifactError
from wsi.hdf5 import read_arrays
try:
    with read_arrays(Path(sys.argv[1])) as file:
        print(file.attrs["format"])
except ArtifactError as error:
    print("refused:", error)
"""


def read_in_child(path: Path) -> str:
    """Read a text attribute in a process that can be ended, for HDF5 may look for it without end."""
    ended = subprocess.run(
        [sys.executable, "-c", READ_IN_CHILD, str(path)],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[1],
    )
    return ended.stdout


@pytest.mark.parametrize("smash", ["free object of no size", "object of 2**64 bytes", "heap of 2**40 bytes"])
def test_texts_that_hdf5_would_look_for_without_end_are_refused(smash: str, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_arrays(path, {"features": whole(VALUES)}, {"format": "f/1"})
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    first = heap + 16  # number (2), references (2), reserved (4), size (8), the text padded to 8
    assert content[first : first + 20] == b"\1" + bytes(7) + (3).to_bytes(8, "little") + b"f/1\0"
    free = first + 16 + 8
    assert content[free : free + 2] == b"\0\0"
    at, value = {
        "free object of no size": (free + 8, 0),
        "object of 2**64 bytes": (first + 8, 2**64 - 16),
        "heap of 2**40 bytes": (heap + 8, 2**40),
    }[smash]
    assert read_in_child(path).strip() == "f/1"
    content[at : at + 8] = value.to_bytes(8, "little")
    path.write_bytes(content)
    assert read_in_child(path).startswith("refused: ")


def test_a_heap_across_two_blocks_is_seen(tmp_path: Path) -> None:
    """The search reads 4 MiB at a time."""
    path = tmp_path / "a.h5"
    empty = b"GCOL\x01\0\0\0" + (4096).to_bytes(8, "little") + bytes(4080)
    for start in ((4 << 20) - 3, (4 << 20) - 8, 4 << 20, 10):
        path.write_bytes(bytes(start) + empty)
        with pytest.raises(ArtifactError, match="a text claims 0 bytes where 4080 are left"), read_arrays(path):
            pass

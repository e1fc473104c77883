"""features.h5: read by CLAM's and TRIDENT's tools, theirs read here, and no hostile file used."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.encode import tiny
from wsi.encode.features import Features, combine, read_features, require_same_encoder, write_features
from wsi.encode.identity import EncoderIdentity, identify, parse_identity, retiled
from wsi.errors import ArtifactError, EncoderMismatchError, ModelError

N, D = 50, 32
COORDS = np.stack([np.arange(N) * 448, np.arange(N) * 7 + 100_000], axis=1).astype(np.int32)
FEATURES = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
ATTRIBUTES = {
    "patch_size": 224,
    "patch_level": 0,
    "patch_size_level0": 448,
    "level0_magnification": 40,
    "target_magnification": 20,
    "overlap": 0,
    "tile_mpp": 0.5,
    "footprint_x": 448.25,
}


def identity_of(**changes: object) -> EncoderIdentity:
    about = identify(tiny.card(), weights_sha256="ab" * 32, revision="r1", precision="fp32")
    return replace(about, **changes)  # type: ignore[arg-type]


def write(path: Path, *, identity: EncoderIdentity | None = None) -> Path:
    blocks = [FEATURES[:7], FEATURES[7:]]
    write_features(path, COORDS, blocks, identity=identity or identity_of(), attributes=ATTRIBUTES)
    return path


def bag(**changes: object) -> Features:
    return Features(COORDS, FEATURES, ATTRIBUTES, "tiny", identity_of(**changes))


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    found = read_features(write(tmp_path / "features.h5"))
    np.testing.assert_array_equal(found.coords, COORDS)
    np.testing.assert_array_equal(found.features, FEATURES)
    assert (found.coords.dtype, found.features.dtype) == (np.dtype(np.int32), np.dtype(np.float32))
    assert (found.encoder, found.identity, found.attributes) == ("tiny", identity_of(), ATTRIBUTES)


def test_clam_and_trident_find_all_that_they_read(tmp_path: Path) -> None:
    """CLAM reads both arrays and two attributes of coords, TRIDENT's slide encoders patch_size_level0."""
    with h5py.File(write(tmp_path / "features.h5"), "r") as file:
        np.testing.assert_array_equal(file["features"][:], FEATURES)
        np.testing.assert_array_equal(file["coords"][:], COORDS)
        assert file["features"].shape == (N, D)
        for owner in (file["coords"].attrs, file.attrs):
            assert (owner["patch_size"], owner["patch_level"]) == (224, 0)
            assert owner["patch_size_level0"] == 448
            assert (owner["level0_magnification"], owner["target_magnification"]) == (40, 20)
            assert owner["overlap"] == 0
        assert file["features"].attrs["name"] == "tiny"


def test_a_slide_of_no_readable_tile_has_an_empty_bag(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    write_features(path, COORDS[:0], [], identity=identity_of(), attributes=ATTRIBUTES)
    found = read_features(path)
    assert (len(found), found.features.shape, found.coords.shape) == (0, (0, D), (0, 2))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_feature_that_isnt_finite_is_never_published(value: float, tmp_path: Path) -> None:
    bad = FEATURES.copy()
    bad[33, 3] = value
    with pytest.raises(ModelError, match="NaN or infinite"):
        write_features(tmp_path / "f.h5", COORDS, [bad], identity=identity_of(), attributes=ATTRIBUTES)
    assert list(tmp_path.iterdir()) == []


def of_clam(path: Path) -> None:
    """As CLAM appends batches: chunks of one row, rows without limit, 64-bit coords."""
    with h5py.File(path, "w") as file:
        file.create_dataset("features", data=FEATURES, chunks=(1, D), maxshape=(None, D))
        coords = file.create_dataset("coords", data=COORDS.astype(np.int64), chunks=(1, 2), maxshape=(None, 2))
        coords.attrs.update({"patch_size": 256, "patch_level": 0, "save_path": "/home/someone"})
        coords.attrs["downsample"] = np.array([1.0, 1.0])


def of_trident(path: Path) -> None:
    """As TRIDENT writes: the encoder's name at features, all about the patches at coords."""
    with h5py.File(path, "w") as file:
        file.create_dataset("features", data=FEATURES, chunks=(1, D), maxshape=(None, D))
        file["features"].attrs["name"] = "uni_v1"
        coords = file.create_dataset("coords", data=COORDS.astype(np.int64), chunks=(1, 2), maxshape=(None, 2))
        coords.attrs.update({k: v for k, v in ATTRIBUTES.items() if k not in ("tile_mpp", "footprint_x")})


def of_a_batch(path: Path) -> None:
    """As slide-level tools keep a batch of one slide, in half precision and compressed."""
    with h5py.File(path, "w") as file:
        file.create_dataset("features", data=FEATURES.astype(np.float16)[None], compression="gzip", chunks=True)
        file.create_dataset("coords", data=COORDS.astype(np.float64)[None], compression="gzip", chunks=True)


@pytest.mark.parametrize(
    ("make", "encoder", "attributes"),
    [
        (of_clam, "", {"patch_size": 256, "patch_level": 0}),
        (of_trident, "uni_v1", {k: v for k, v in ATTRIBUTES.items() if k not in ("tile_mpp", "footprint_x")}),
        (of_a_batch, "", {}),
    ],
)
def test_features_of_other_tools_are_read(
    make: Callable[[Path], None], encoder: str, attributes: dict[str, object], tmp_path: Path
) -> None:
    path = tmp_path / "features.h5"
    make(path)
    found = read_features(path)
    np.testing.assert_array_equal(found.coords, COORDS)
    np.testing.assert_allclose(found.features, FEATURES, rtol=1e-3 if make is of_a_batch else 0)
    assert (found.coords.dtype, found.features.dtype) == (np.dtype(np.int32), np.dtype(np.float32))
    assert (found.encoder, found.identity, found.attributes) == (encoder, None, attributes)


def test_bags_of_one_encoder_are_combined_in_order() -> None:
    second = replace(bag(id="another name", revision="r2", licence="x"), attributes={**ATTRIBUTES, "overlap": 32})
    both = combine([bag(), second])
    np.testing.assert_array_equal(both.features, np.concatenate([FEATURES, FEATURES]))
    assert both.coords.shape == (2 * N, 2)
    assert "overlap" not in both.attributes
    assert both.attributes["patch_size"] == 224
    with pytest.raises(ValueError, match="no bags"):
        combine([])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weights_sha256", "cd" * 32),
        ("architecture", "0"),
        ("pooling", "cls+mean after 5"),
        ("transform", "0"),
        ("tile_px", 256),
        ("mpp", 0.25),
        ("precision", "bf16"),
        ("dim", 64),
    ],
)
def test_bags_of_two_encoders_dont_mix(name: str, value: object) -> None:
    with pytest.raises(EncoderMismatchError, match=f"don't mix.*{name}: "):
        combine([bag(), bag(**{name: value})])


def test_bags_of_other_tools_mix_only_under_one_name_and_width() -> None:
    theirs = Features(COORDS, FEATURES, {}, "uni_v1", None)
    require_same_encoder(theirs, theirs)
    others = (
        bag(),
        replace(theirs, encoder="uni_v2"),
        replace(theirs, features=FEATURES[:, :16]),
    )
    for other in others:
        with pytest.raises(EncoderMismatchError, match="encode all slides in one way"):
            require_same_encoder(theirs, other)


def test_identity_survives_its_file_and_nothing_else_is_taken_for_one() -> None:
    identity = identity_of()
    assert parse_identity(identity.to_json()) == identity
    for text in ("", "[]", "{}", "[" * 100_000, identity.to_json().replace('"dim": 32', '"dim": "32"')):
        with pytest.raises(ArtifactError, match="identity"):
            parse_identity(text)


def test_identity_from_before_there_were_back_ends_is_torchs() -> None:
    told = json.loads(identity_of().to_json())
    del told["backend"]
    assert parse_identity(json.dumps(told)) == identity_of(backend="torch")


def test_pooling_and_precision_are_part_of_the_identity() -> None:
    with_mean = tiny.card(pooling="cls+mean", prefix_tokens=5, dim=64)
    found = identify(with_mean, weights_sha256="", revision="", precision="bf16")
    assert (found.pooling, found.precision, found.dim) == ("cls+mean after 5", "bf16", 64)


def test_tiles_of_another_size_are_brought_to_the_networks() -> None:
    card = retiled(tiny.card(), tile_px=48, mpp=1.0)
    assert (card.input.tile_px, card.input.mpp, card.transform.resize_px) == (48, 1.0, tiny.SIDE)
    assert retiled(tiny.card(), tile_px=None, mpp=None) == tiny.card()


# What a hostile or broken file may hold in the place of features or coords.


def put(file: h5py.File, name: str, data: NDArray[np.generic], **how: object) -> None:
    del file[name]
    file.create_dataset(name, data=data, **how)


def without(file: h5py.File, name: str) -> None:
    del file[name]


def claim(file: h5py.File, shape: tuple[int, ...], chunks: tuple[int, ...] | None, dtype: type = np.float32) -> None:
    del file["features"]
    file.create_dataset("features", shape, dtype, chunks=chunks)


def bomb(file: h5py.File) -> None:
    put(file, "features", np.zeros((1 << 19, D), np.float32), chunks=(1 << 16, D), compression="gzip")


def as_external_link(file: h5py.File, secret: Path) -> None:
    del file["features"]
    file["features"] = h5py.ExternalLink(str(secret), "features")


def as_virtual(file: h5py.File, secret: Path) -> None:
    del file["features"]
    layout = h5py.VirtualLayout((N, D), np.float32)
    layout[:] = h5py.VirtualSource(str(secret), "features", (N, D))
    file.create_virtual_dataset("features", layout)


def as_group(file: h5py.File) -> None:
    del file["features"]
    file.create_group("features")


def as_references(file: h5py.File) -> None:
    del file["features"]
    file.create_dataset("features", (N, D), h5py.ref_dtype)


def as_times(file: h5py.File) -> None:
    """A type of HDF5 that NumPy has nothing for."""
    del file["features"]
    space = h5py.h5s.create_simple((N, D))
    h5py.h5d.create(file.id, b"features", h5py.h5t.UNIX_D32LE, space)


def with_a_nan(file: h5py.File) -> None:
    bad = FEATURES.copy()
    bad[-1, -1] = np.nan
    put(file, "features", bad)


def with_another_width(file: h5py.File) -> None:
    put(file, "features", FEATURES[:, :16])


HOSTILE: dict[str, Callable[[h5py.File, Path], None]] = {
    "external link": as_external_link,
    "virtual dataset": as_virtual,
    "bomb of zeros": lambda f, _: bomb(f),
    "2**60 rows": lambda f, _: claim(f, (1 << 60, D), (1, D)),
    "2**55 columns": lambda f, _: claim(f, (N, 1 << 55), (1, 1024)),
    "contiguous and never written": lambda f, _: claim(f, (N, D), None),
    "chunks never written": lambda f, _: claim(f, (N, D), (1, D)),
    "a chunk of 2 GiB": lambda f, _: claim(f, (N, 1 << 28), (1, 1 << 28)),
    "rows without coords": lambda f, _: put(f, "coords", COORDS[:-1]),
    "coords without rows": lambda f, _: put(f, "features", FEATURES[:-1]),
    "wide coords": lambda f, _: put(f, "coords", np.zeros((N, 3), np.int32)),
    "flat features": lambda f, _: put(f, "features", FEATURES.ravel()),
    "two slides": lambda f, _: put(f, "features", np.stack([FEATURES, FEATURES])),
    "no columns": lambda f, _: put(f, "features", np.zeros((N, 0), np.float32)),
    "another width than the encoder's": lambda f, _: with_another_width(f),
    "NaN": lambda f, _: with_a_nan(f),
    "infinite coords": lambda f, _: put(f, "coords", np.full((N, 2), np.inf)),
    "coords between pixels": lambda f, _: put(f, "coords", COORDS + 0.5),
    "coords beyond 32 bits": lambda f, _: put(f, "coords", COORDS.astype(np.int64) + (1 << 40)),
    "coords of 2**63": lambda f, _: put(f, "coords", np.full((N, 2), 2**63, np.uint64)),
    "float64 beyond float32": lambda f, _: put(f, "features", np.full((N, D), 1e300)),
    "integers": lambda f, _: put(f, "features", FEATURES.astype(np.int32)),
    "text": lambda f, _: put(f, "features", np.full((N, D), b"x", "S9")),
    "records": lambda f, _: put(f, "features", np.zeros((N, D), [("a", "f4")])),
    "times": lambda f, _: as_times(f),
    "references": lambda f, _: as_references(f),
    "complex": lambda f, _: put(f, "features", FEATURES.astype(np.complex64)),
    "a group": lambda f, _: as_group(f),
    "no features": lambda f, _: without(f, "features"),
    "no coords": lambda f, _: without(f, "coords"),
    "no identity": lambda f, _: f.attrs.pop("encoder"),
    "an identity that is no JSON": lambda f, _: f.attrs.update(encoder="{"),
    "an identity of many": lambda f, _: f.attrs.update(encoder=["{}", "{}"]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(name: str, tmp_path: Path) -> None:
    secret, path = write(tmp_path / "secret.h5"), write(tmp_path / "features.h5")
    with h5py.File(path, "r+") as file:
        HOSTILE[name](file, secret)
    with pytest.raises(ArtifactError, match=r"features\.h5"):
        read_features(path)


@pytest.mark.parametrize("name", ["bag.pt", "bag.pth", "bag.pkl"])
def test_pickled_features_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(ArtifactError, match=r"never loaded; give the \.h5 file"):
        read_features(tmp_path / name)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_truncated_files_are_refused(share: float, tmp_path: Path) -> None:
    path = write(tmp_path / "features.h5")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ArtifactError):
        read_features(path)


@pytest.mark.parametrize("make", [write, of_clam, of_trident, of_a_batch])
def test_random_bytes_never_give_another_error(make: Callable[[Path], object], tmp_path: Path) -> None:
    """Smashed structure is refused; smashed values are the business of the sha256 beside the file."""
    path = tmp_path / "features.h5"
    make(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(100):
        content = bytearray(whole)
        at = int(rng.integers(min(len(whole), 4096)))
        content[at : at + 4] = rng.bytes(4)
        path.write_bytes(content)
        try:
            found = read_features(path)
        except ArtifactError:
            refused += 1
        else:
            assert len(found.coords) == len(found.features)
            assert np.isfinite(found.features).all()
    assert refused > 0

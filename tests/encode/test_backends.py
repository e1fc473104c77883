"""Networks run by OpenVINO and ONNX Runtime: torch's features, kept graphs, and clear words where it can't be."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.encode import tiny
from wsi.card import Architecture
from wsi.encode import backends, graph, graph_run, load
from wsi.encode.backends import Backend, require_backend
from wsi.encode.encoder import Encoder
from wsi.encode.identity import identify
from wsi.encode.load import load_encoder
from wsi.errors import ModelError, UsageError
from wsi.publish import sha256_file

OTHERS: tuple[Backend, ...] = ("openvino", "onnxruntime")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
openvino_run = pytest.importorskip("wsi.encode.openvino_run")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder for the whole module: a graph takes seconds to make."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder / "wsi-run" / "graphs"


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a ViT whose pooling is this tool's, on tiles that are resized and cropped."""
    folder = tmp_path_factory.mktemp("vit")
    tiny.save(tiny.with_random_weights(tiny.tiny_vit()), folder / "w.safetensors")
    transform = {"resize_px": 36, "crop_px": 32, "mean": [0.5, 0.4, 0.6], "std": [0.2, 0.3, 0.25]}
    card = tiny.card(weights={"file": "w.safetensors"}, pooling="cls+mean", dim=64, transform=transform)
    (folder / "model.yaml").write_text(card.model_dump_json())
    return folder


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of a small network with convolutions and norms."""
    network = tiny.with_random_weights(Architecture(name="test_resnet"))
    return tiny.save(network, tmp_path_factory.mktemp("resnet") / "w.safetensors")


def of_vit(folder: Path, backend: Backend, *, threads: int = 1) -> Encoder:
    return load_encoder(str(folder), device="cpu", precision="fp32", threads=threads, backend=backend)


def least_cosine(ones: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    products = (ones.astype(np.float64) * others).sum(1)
    return float((products / np.linalg.norm(ones, axis=1) / np.linalg.norm(others, axis=1)).min())


@pytest.mark.parametrize("backend", OTHERS)
def test_features_are_those_of_torch(backend: Backend, vit: Path) -> None:
    tiles = tiny.tiles(9)
    expected, found = of_vit(vit, "torch"), of_vit(vit, backend)
    assert least_cosine(expected.encode(tiles), found.encode(tiles)) > 0.999999
    np.testing.assert_allclose(found.encode(tiles), expected.encode(tiles), atol=1e-4)
    assert expected.identity.differences(found.identity) == [f"backend: torch, {backend}"]


@pytest.mark.parametrize("backend", OTHERS)
def test_network_of_timm_by_name_gives_torchs_features(backend: Backend, resnet: Path) -> None:
    name, plain = "timm:test_resnet", {"weights": resnet, "device": "cpu", "precision": "fp32", "threads": 1}
    expected = load_encoder(name, **plain)  # type: ignore[arg-type]
    tiles = tiny.tiles(3, side=expected.tile_px)
    found = load_encoder(name, backend=backend, **plain).encode(tiles)  # type: ignore[arg-type]
    assert least_cosine(expected.encode(tiles), found) > 0.999999


@pytest.mark.parametrize("backend", OTHERS)
def test_features_dont_depend_on_batch_and_threads(backend: Backend, vit: Path) -> None:
    tiles = tiny.tiles(21)
    expected = of_vit(vit, backend).encode(tiles)
    encoder = of_vit(vit, backend, threads=2)
    for size in (1, 5, 21):
        parts = [encoder.encode(tiles[start : start + size]) for start in range(0, len(tiles), size)]
        assert np.concatenate(parts).tobytes() == expected.tobytes()
    encoder.close()


def test_graph_is_made_once_for_all_back_ends_and_the_network_not_again(
    cache: Path, vit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = of_vit(vit, "openvino").encode(tiny.tiles(2))
    before = sorted(cache.rglob("*"))
    monkeypatch.setattr(load, "_network", lambda *_: pytest.fail("the network was made again"))
    assert of_vit(vit, "openvino").encode(tiny.tiles(2)).tobytes() == expected.tobytes()
    of_vit(vit, "onnxruntime")
    assert sorted(cache.rglob("*")) == before


@pytest.mark.parametrize("harm", ["flipped", "cut", "gone", "sums"])
def test_damaged_graph_is_made_again(harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(graph, "_make", _write_little)
    card = tiny.card()
    identity, transform = identify(card, weights_sha256="0" * 64, revision="", precision="fp32"), card.transform
    with graph.open_graph(identity, transform, torch.nn.Identity) as first:
        whole = first.path.read_bytes()
    target = first.path.with_name(graph.SUMS) if harm == "sums" else first.path
    if harm == "gone":
        target.unlink()
    else:
        target.write_bytes(whole[:-1] if harm == "cut" else b"\0" + whole[1:])
    assert not graph.is_whole(first.path.parent)
    with graph.open_graph(identity, transform, torch.nn.Identity) as again:
        assert again.path == first.path
        assert again.path.read_bytes() == whole


def _write_little(folder: Path, *_: object) -> None:
    """Write what a graph's folder holds, in a moment."""
    (folder / graph.GRAPH).write_bytes(b"a graph")
    np.save(folder / graph.FEATURES, np.zeros((4, 2), np.float32))
    (folder / graph.SUMS).write_text(json.dumps({path.name: sha256_file(path) for path in folder.iterdir()}))


def test_cache_that_cant_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(graph, "_make", _write_little)
    card = tiny.card()
    identity = identify(card, weights_sha256="0" * 64, revision="", precision="fp32")
    with graph.open_graph(identity, card.transform, torch.nn.Identity) as found:
        assert found.path.read_bytes() == b"a graph"
    assert not found.path.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


class Mean(torch.nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))


def test_network_of_a_plugin_runs_and_is_not_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its code may change while its weights stay."""
    card = tiny.card(pooling="model", dim=3)
    monkeypatch.setattr(load, "find_encoder", lambda *_: load.Found(card, "0" * 64, "", Mean, is_known=False))
    before = sorted(cache.rglob("*"))
    tiles = tiny.tiles(2)
    found = load_encoder("a-plugin", backend="onnxruntime", threads=1).encode(tiles)
    mean, std = np.array([0.5, 0.4, 0.6]), np.array([0.2, 0.3, 0.25])
    np.testing.assert_allclose(found, ((tiles / 255).mean((1, 2)) - mean) / std, rtol=1e-4)
    assert sorted(cache.rglob("*")) == before


@pytest.mark.parametrize("backend", OTHERS)
def test_other_features_than_torchs_are_refused(backend: Backend, vit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_run, "least_cosine", lambda *_: 0.9)
    with pytest.raises(ModelError, match=rf"tiny: {backend} gives other features than torch \(cosine 0\.90000\)"):
        of_vit(vit, backend)


@pytest.mark.parametrize(
    ("noise", "noisy", "expected"),
    [
        (0.0, ("bf16", "bf16-after-1", "bf16-after-16"), "bf16"),
        (0.5, ("bf16",), "bf16-after-1"),
        (0.5, ("bf16", "bf16-after-1"), "bf16-after-16"),
        (0.5, ("bf16", "bf16-after-1", "bf16-after-16"), "fp32"),
        (np.nan, ("bf16", "bf16-after-1", "bf16-after-16"), "fp32"),
    ],
)
def test_bf16_is_chosen_where_it_keeps_the_features(
    noise: float, noisy: tuple[str, ...], expected: str, vit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Noisy(openvino_run.OpenVinoRun):  # type: ignore[name-defined, misc]
        """Stands in for a processor that has bf16."""

        def __init__(self, path: Path, *, precision: str, threads: int) -> None:
            super().__init__(path, precision="fp32", threads=threads)
            self.precision = precision
            self.noise = noise if precision in noisy else 0.0

        def __call__(self, images: Tensor) -> NDArray[np.float32]:
            found: NDArray[np.float32] = super().__call__(images)
            found[:, ::2] += np.float32(self.noise) * np.abs(found).max()
            return found

    monkeypatch.setattr(openvino_run, "has_bf16", lambda: True)
    monkeypatch.setattr(openvino_run, "OpenVinoRun", Noisy)
    encoder = load_encoder(str(vit), backend="openvino", threads=1)
    assert encoder.identity.precision == expected


def test_precision_that_the_processor_lacks_is_said(vit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_run, "has_bf16", lambda: False)
    assert load_encoder(str(vit), backend="openvino", threads=1).identity.precision == "fp32"
    with pytest.raises(UsageError, match="bf16: this processor doesn't compute in it"):
        load_encoder(str(vit), backend="openvino", threads=1, precision="bf16")


def test_openvino_reports_nothing_over_the_network() -> None:
    assert sys.modules["openvino_telemetry"] is None


def test_missing_package_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'openvino and onnxscript not found; pip install "wsi-run\[openvino\]"'):
        require_backend("openvino", device="auto", precision="auto")
    require_backend("torch", device="cuda", precision="fp16")


@pytest.mark.parametrize(
    ("backend", "device", "precision", "message"),
    [
        ("openvino", "cuda", "auto", "openvino runs on the CPU; use --device cpu, or --backend torch for cuda"),
        ("openvino", "cpu", "fp16", "openvino doesn't run in fp16"),
        ("onnxruntime", "cpu", "bf16", "onnxruntime doesn't run in bf16"),
    ],
)
def test_what_a_back_end_cant_do_is_said(backend: Backend, device: str, precision: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        require_backend(backend, device=device, precision=precision)

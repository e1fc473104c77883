"""Encoders by name: the catalog's, a folder's, timm's and a plug-in's."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.encode import tiny
from wsi.card import Architecture
from wsi.encode.build import build
from wsi.encode.device import find_device
from wsi.encode.load import load_encoder
from wsi.encode.timm_card import timm_card
from wsi.errors import ModelError, UsageError, WeightsError
from wsi.publish import sha256_file

PLUGIN = "wsi_test_plugin_of_encode"
PLUGIN_CODE = """
import torch
from tests.encode import tiny

class Mean(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, images):
        return images.mean((2, 3)) * self.weight

def make(weights):
    made.append(weights)
    return tiny.card(id="of-a-plugin", pooling="model", dim=3), Mean()

def wrong(weights):
    return {"dim": 3}

made = []
"""


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WSI_MODELS", str(tmp_path / "models"))
    return tmp_path


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / f"{PLUGIN}.py").write_text(PLUGIN_CODE)
    info = tmp_path / f"{PLUGIN}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PLUGIN}\nVersion: 1.0\n")
    points = f"[wsi.encoders]\nof-a-plugin = {PLUGIN}:make\nwrong-plugin = {PLUGIN}:wrong\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, PLUGIN, raising=False)
    return PLUGIN


def write_folder(folder: Path, **changes: object) -> Path:
    """Write an encoder's folder: its card and random weights."""
    folder.mkdir(parents=True, exist_ok=True)
    tiny.save(tiny.with_random_weights(tiny.tiny_vit()), folder / "w.safetensors")
    card = tiny.card(weights={"file": "w.safetensors"}, **changes)
    (folder / "model.yaml").write_text(card.model_dump_json())  # JSON is YAML
    return folder


def load(name: str | Path, **options: object) -> object:
    return load_encoder(str(name), device="cpu", threads=1, **options)  # type: ignore[arg-type]


def test_identity_says_all_that_a_feature_depends_on(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "mine")
    identity = load_encoder(str(folder), device="cpu", threads=1, precision="fp32").identity
    assert (identity.id, identity.dim, identity.tile_px, identity.mpp) == ("tiny", 32, 32, 0.5)
    assert (identity.pooling, identity.precision, identity.licence) == ("cls", "fp32", "CC0-1.0")
    assert identity.weights_sha256 == sha256_file(folder / "w.safetensors")


def test_tiles_of_another_size_and_scale_are_taken_and_told(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "mine")
    plain = load_encoder(str(folder), device="cpu", threads=1)
    encoder = load_encoder(str(folder), device="cpu", threads=1, tile_px=48, mpp=1.0)
    assert encoder.encode(tiny.tiles(2, side=48)).shape == (2, 32)
    assert {one.partition(":")[0] for one in plain.identity.differences(encoder.identity)} == {
        "tile_px",
        "mpp",
        "transform",
    }


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "mine", architecture=tiny.tiny_vit(depth=3).model_dump())
    with pytest.raises(WeightsError, match=r"not the weights of this architecture; missing blocks\.2\."):
        load(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unni", r"encoder 'unni': no such name .* Did you mean 'uni'"),
        ("virchov2", r"Did you mean 'virchow2'"),
        ("timm:resnet81", r"'resnet81' is no network of timm .* Did you mean 'resnet18'"),
        ("musk", r"needs the package library, and only timm's networks are built here; install a plug-in"),
        ("uni", r"uni: there are no weights on this machine; `wsi-run models fetch uni` \(accept its terms"),
    ],
)
def test_what_cant_be_loaded_says_what_to_do(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"checkpoint_path": "evil.pth"}, "'checkpoint_path' of the architecture is not allowed"),
        ({"pretrained": True}, "'pretrained' of the architecture is not allowed"),
        ({"img_sise": 32}, "Did you mean 'img_size'"),
        ({"mlp_layer": "os.system"}, "'os.system' is not one of SwiGLUPacked"),
        ({"num_heads": 7}, "can't build it"),
        ({"depth": "many"}, "can't build it"),
        ({"patch_size": 0}, "can't build it"),
    ],
)
def test_arguments_come_from_a_closed_list(arguments: dict[str, object], message: str) -> None:
    architecture = Architecture.model_validate({"name": "vit_tiny_patch16_224", "arguments": arguments})
    with pytest.raises(ModelError, match=message):
        build(architecture)


def test_networks_of_the_hub_are_no_names_of_timm() -> None:
    for name in ("hf-hub:MahmoodLab/uni", "hf_hub:timm/resnet18", "local-dir:/tmp"):
        with pytest.raises(ModelError, match="is no network of timm"):
            build(Architecture(name=name))


def test_any_network_of_timm_runs_by_name(tmp_path: Path) -> None:
    network = tiny.with_random_weights(Architecture(name="test_resnet"))
    weights = tiny.save(network, tmp_path / "w.safetensors")
    encoder = load_encoder("timm:test_resnet", weights=weights, device="cpu", threads=1, precision="fp32")
    known = timm_card("test_resnet")
    assert (encoder.tile_px, encoder.mpp) == (known.input.tile_px, 0.5)
    tiles = tiny.tiles(2, side=encoder.tile_px)
    images = (tiles / 255 - np.array(known.transform.mean)) / np.array(known.transform.std)
    with torch.inference_mode():
        expected = network(torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32))).numpy()
    np.testing.assert_allclose(encoder.encode(tiles), expected, rtol=1e-3)


def test_timm_without_weights_names_the_way_to_get_them() -> None:
    with pytest.raises(WeightsError, match=r"`wsi-run models fetch timm:test_resnet`, or name a \.safetensors file"):
        load("timm:test_resnet")


def test_plugin_is_used_by_its_name(plugin: str, tmp_path: Path) -> None:
    encoder = load_encoder("of-a-plugin", weights=tmp_path / "w", device="cpu", threads=1, precision="fp32")
    features = encoder.encode(np.full((1, 32, 32, 3), 255, np.uint8))
    expected = (1 - np.array([0.5, 0.4, 0.6])) / np.array([0.2, 0.3, 0.25]) * [1, 2, 3]
    np.testing.assert_allclose(features[0], expected, rtol=1e-6)
    assert sys.modules[plugin].made == [tmp_path / "w"]
    assert len(encoder.identity.weights_sha256) == 64


def test_the_catalog_comes_before_a_plugin_of_the_same_name(plugin: str, tmp_path: Path) -> None:
    info = tmp_path / f"{PLUGIN}-1.0.dist-info"
    (info / "entry_points.txt").write_text(f"[wsi.encoders]\nmobilenetv2-imagenet = {PLUGIN}:make\n")
    assert load_encoder("mobilenetv2-imagenet", device="cpu", threads=1).identity.dim == 1280


def test_plugin_that_gives_something_else_is_refused(plugin: str) -> None:
    with pytest.raises(ModelError, match="'wrong-plugin': expected a function that returns an EncoderCard"):
        load("wrong-plugin")


def test_device_that_isnt_there_is_said() -> None:
    assert find_device("cpu") == torch.device("cpu")
    for name in ("gpu", "cuda:x", "cpu:7", "cuda:99", "meta"):
        with pytest.raises(UsageError, match=name):
            find_device(name)


def test_card_of_a_network_of_timm_is_kept_and_a_damaged_one_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = timm_card("test_resnet")
    (kept,) = (tmp_path / "cache").rglob("test_resnet.json")
    with monkeypatch.context() as patch:
        patch.setattr("wsi.encode.build.describe", lambda name: pytest.fail("timm was asked again"))
        assert timm_card("test_resnet") == made
    for damaged in ("", "{}", made.model_copy(update={"id": "timm:other"}).model_dump_json()):
        kept.write_text(damaged)
        assert timm_card("test_resnet") == made
    assert kept.read_text() == made.model_dump_json()

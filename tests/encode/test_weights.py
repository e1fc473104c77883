"""Weights files of every naming, whole and damaged."""

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.encode import tiny
from wsi.card import Architecture
from wsi.encode.build import build
from wsi.encode.weights import load_weights, resample_positions
from wsi.errors import WeightsError

Tensors = dict[str, Tensor]
GATED: dict[str, float | str | bool | None] = {"mlp_ratio": 5.3334, "mlp_layer": "SwiGLUPacked", "act_layer": "SiLU"}


@pytest.fixture
def network() -> nn.Module:
    return tiny.with_random_weights(tiny.tiny_vit())


@pytest.fixture
def tensors(network: nn.Module) -> Tensors:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def write(tensors: Tensors, folder: Path) -> Path:
    path = folder / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def outputs(network: nn.Module) -> Tensor:
    images = torch.rand(2, 3, tiny.SIDE, tiny.SIDE, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        found: Tensor = network(images)
    return found


def loaded(path: Path, architecture: Architecture | None = None, **options: object) -> nn.Module:
    network = build(architecture or tiny.tiny_vit())
    load_weights(network, path, **options)  # type: ignore[arg-type]
    return network


def as_vit_model(tensors: Tensors) -> Tensors:
    """Rename as transformers' ViTModel does: query, key and value apart, norms named after their place."""
    names = {
        "attn.proj": "attention.output.dense",
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense",
    }
    return as_transformers(tensors, names)


def as_dinov2_model(tensors: Tensors) -> Tensors:
    """Rename as transformers' Dinov2Model does."""
    gated = tensors["blocks.0.mlp.fc1.weight"].shape[0] != tensors["blocks.0.mlp.fc2.weight"].shape[1]
    names = {
        "attn.proj": "attention.output.dense",
        "ls1.gamma": "layer_scale1.lambda1",
        "ls2.gamma": "layer_scale2.lambda1",
    }
    if gated:
        names |= {"mlp.fc1": "mlp.weights_in", "mlp.fc2": "mlp.weights_out"}
    return as_transformers(tensors, names) | {"embeddings.mask_token": torch.zeros(1, tiny.DIM)}


def as_transformers(tensors: Tensors, names: dict[str, str]) -> Tensors:
    renamed = {
        "embeddings.cls_token": tensors["cls_token"],
        "embeddings.position_embeddings": tensors["pos_embed"],
        "embeddings.patch_embeddings.projection.weight": tensors["patch_embed.proj.weight"],
        "embeddings.patch_embeddings.projection.bias": tensors["patch_embed.proj.bias"],
        "layernorm.weight": tensors["norm.weight"],
        "layernorm.bias": tensors["norm.bias"],
    }
    for name, tensor in tensors.items():
        if not name.startswith("blocks."):
            continue
        _, number, rest = name.split(".", 2)
        before = f"encoder.layer.{number}."
        if rest.startswith("attn.qkv."):
            for part, third in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                renamed[f"{before}attention.attention.{part}.{rest.removeprefix('attn.qkv.')}"] = third
            continue
        for ours, their in names.items():
            if rest == ours or rest.startswith(f"{ours}."):
                rest = their + rest.removeprefix(ours)
                break
        renamed[before + rest] = tensor
    return renamed


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "model."])
def test_prefixes_of_wrappers_are_taken_off(prefix: str, network: nn.Module, tensors: Tensors, tmp_path: Path) -> None:
    path = write({prefix + name: tensor for name, tensor in tensors.items()}, tmp_path)
    np.testing.assert_array_equal(outputs(loaded(path)), outputs(network))


@pytest.mark.parametrize("more", [{}, GATED], ids=["plain MLP", "gated MLP"])
def test_weights_of_transformers_dinov2_give_the_identical_output(
    more: dict[str, float | str | bool | None], tmp_path: Path
) -> None:
    architecture = tiny.tiny_vit(**more)
    network = tiny.with_random_weights(architecture)
    path = write(as_dinov2_model(network.state_dict()), tmp_path)
    found = loaded(path, architecture, keys="transformers-dinov2")
    np.testing.assert_array_equal(outputs(found), outputs(network))


def test_weights_of_transformers_vit_give_the_identical_output(tmp_path: Path) -> None:
    architecture = tiny.tiny_vit(init_values=None)
    network = tiny.with_random_weights(architecture)
    renamed = as_vit_model(network.state_dict())
    renamed |= {"pooler.dense.weight": torch.zeros(8, 8), "pooler.dense.bias": torch.zeros(8)}
    path = write({f"vit.{name}": tensor for name, tensor in renamed.items()}, tmp_path)
    np.testing.assert_array_equal(outputs(loaded(path, architecture, keys="transformers-vit")), outputs(network))


@pytest.mark.parametrize("keys", ["dinov2", "transformers-dinov2"])
def test_position_of_the_class_token_is_added_to_it(keys: str, tmp_path: Path) -> None:
    """DINOv2 with registers keeps a position for its class token; timm's class token has it added."""
    architecture = tiny.tiny_vit(reg_tokens=4, no_embed_class=True, **GATED)
    network = tiny.with_random_weights(architecture)
    tensors = network.state_dict()
    class_position = torch.full((1, 1, tiny.DIM), 0.25)
    stored = {
        **tensors,
        "cls_token": tensors["cls_token"] - class_position,
        "pos_embed": torch.cat([class_position, tensors["pos_embed"]], dim=1),
    }
    if keys == "dinov2":
        renamed = {
            name.replace("reg_token", "register_tokens").replace(".fc1.", ".w12.").replace(".fc2.", ".w3."): tensor
            for name, tensor in stored.items()
        } | {"mask_token": torch.zeros(1, tiny.DIM)}
    else:
        renamed = as_dinov2_model(stored) | {"embeddings.register_tokens": tensors["reg_token"]}
    found = loaded(write(renamed, tmp_path), architecture, keys=keys)
    np.testing.assert_allclose(outputs(found), outputs(network), atol=1e-5)


def test_classifier_is_left_out(network: nn.Module, tensors: Tensors, tmp_path: Path) -> None:
    path = write({**tensors, "head.weight": torch.zeros(10, tiny.DIM), "head.bias": torch.zeros(10)}, tmp_path)
    np.testing.assert_array_equal(outputs(loaded(path, drop=("head.",))), outputs(network))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_are_computed_with_in_full(dtype: torch.dtype, tensors: Tensors, tmp_path: Path) -> None:
    network = loaded(write({name: tensor.to(dtype) for name, tensor in tensors.items()}, tmp_path))
    assert {one.dtype for one in network.state_dict().values()} == {torch.float32}
    assert torch.equal(network.state_dict()["norm.weight"], tensors["norm.weight"].to(dtype).float())


def test_file_may_change_after_it_was_loaded(network: nn.Module, tensors: Tensors, tmp_path: Path) -> None:
    path = write(tensors, tmp_path)
    found = loaded(path)
    with path.open("rb+") as file:
        file.seek(-4096, 2)
        file.write(bytes(4096))
    np.testing.assert_array_equal(outputs(found), outputs(network))


@pytest.mark.parametrize(("keys", "antialias"), [("timm", True), ("transformers-dinov2", False)])
def test_position_grid_of_another_size_is_resampled(keys: str, antialias: bool, tmp_path: Path) -> None:
    large = tiny.with_random_weights(tiny.tiny_vit(img_size=64)).state_dict()
    path = write(large if keys == "timm" else as_dinov2_model(large), tmp_path)
    with pytest.raises(WeightsError, match=r"pos_embed has shape \(1, 65, 32\).* expects \(1, 17, 32\)"):
        loaded(path, keys=keys)
    found = loaded(path, keys=keys, resample=True).state_dict()["pos_embed"]
    grid = large["pos_embed"][:, 1:].reshape(1, 8, 8, -1).permute(0, 3, 1, 2)
    wanted = torch.nn.functional.interpolate(grid, (4, 4), mode="bicubic", antialias=antialias)
    np.testing.assert_array_equal(found[:, 0], large["pos_embed"][:, 0])
    np.testing.assert_allclose(found[:, 1:], wanted.flatten(2).transpose(1, 2), atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 12])
def test_positions_that_are_no_square_are_told_by_the_file(count: int, network: nn.Module, tmp_path: Path) -> None:
    tensors = {name: one.contiguous() for name, one in network.state_dict().items()}
    path = tmp_path / "odd.safetensors"
    save_file({**tensors, "pos_embed": torch.zeros(1, count, tiny.DIM)}, path)
    with pytest.raises(WeightsError, match=rf"odd\.safetensors: pos_embed: {count} positions .* are no square grid"):
        loaded(path, keys="timm", resample=True)


def test_constant_positions_stay_constant_when_resampled(network: nn.Module) -> None:
    found = resample_positions(network, torch.full((1, 1 + 64, tiny.DIM), 0.5), antialias=True)
    np.testing.assert_allclose(found, np.full((1, 17, tiny.DIM), 0.5), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda t: t.pop("norm.weight"), "missing norm.weight; unexpected none", id="missing"),
        pytest.param(lambda t: t.update(extra=torch.ones(1)), "missing none; unexpected extra", id="unexpected"),
        pytest.param(lambda t: t.update({"norm.weight": torch.ones(31)}), r"shape \(31,\).* \(32,\)", id="shape"),
        pytest.param(lambda t: t["norm.bias"].fill_(float("nan")), "norm.bias holds NaN", id="NaN"),
        pytest.param(lambda t: t["norm.bias"].fill_(float("inf")), "norm.bias holds NaN or inf", id="infinity"),
        pytest.param(lambda t: t.update({"norm.bias": torch.ones(32).int()}), "int32, expected", id="integers"),
        pytest.param(
            lambda t: t.update({"norm.bias": torch.full((32,), 1e300, dtype=torch.float64)}), "NaN or inf", id="range"
        ),
        pytest.param(
            lambda t: t.update({"norm.bias": torch.ones(32, dtype=torch.complex64)}),
            "complex64, expected",
            id="complex",
        ),
    ],
)
def test_wrong_tensors_are_refused_by_name(
    change: Callable[[Tensors], object], message: str, tensors: Tensors, tmp_path: Path
) -> None:
    change(tensors)
    with pytest.raises(WeightsError, match=message):
        loaded(write(tensors, tmp_path))


def test_query_key_and_value_of_wrong_shapes_are_refused(tensors: Tensors, tmp_path: Path) -> None:
    renamed = as_dinov2_model(tensors)
    renamed["encoder.layer.1.attention.attention.key.weight"] = torch.zeros(32, 31)
    with pytest.raises(WeightsError, match=r"blocks.1.attn.qkv.weight has shape \(\)"):
        loaded(write(renamed, tmp_path), keys="transformers-dinov2")


def header_of(content: bytes) -> dict[str, dict[str, object]]:
    length = int.from_bytes(content[:8], "little")
    found: dict[str, dict[str, object]] = json.loads(content[8 : 8 + length])
    return found


def with_header(header: object) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text


def overlapping(content: bytes) -> bytes:
    header = header_of(content)
    first, second = sorted(name for name in header if name.endswith("norm1.weight"))
    header[second]["data_offsets"] = header[first]["data_offsets"]
    length = int.from_bytes(content[:8], "little")
    return with_header(header) + content[8 + length :]


@pytest.mark.parametrize(
    "break_it",
    [
        pytest.param(lambda c: b"", id="empty"),
        pytest.param(lambda c: c[:5], id="five bytes"),
        pytest.param(lambda c: c[: len(c) // 2], id="truncated"),
        pytest.param(lambda c: c[:-1], id="one byte short"),
        pytest.param(lambda c: c + b"more", id="appended"),
        pytest.param(lambda c: struct.pack("<Q", 1 << 60) + c[8:], id="header of 2**60 bytes"),
        pytest.param(lambda c: struct.pack("<Q", len(c) * 2) + c[8:], id="header longer than the file"),
        pytest.param(lambda c: struct.pack("<Q", 3) + c[8:], id="header cut"),
        pytest.param(lambda c: with_header({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}})),
        pytest.param(lambda c: with_header({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}) + bytes(4)),
        pytest.param(lambda c: with_header({"a": {"dtype": "Q7", "shape": [1], "data_offsets": [0, 4]}}) + bytes(4)),
        pytest.param(overlapping, id="overlapping"),
        pytest.param(lambda c: pickle.dumps({"a": 1}), id="pickle"),
        pytest.param(lambda c: b"PK\x03\x04" + c, id="zip of torch.save"),
    ],
)
def test_damaged_files_are_refused(break_it: Callable[[bytes], bytes], tensors: Tensors, tmp_path: Path) -> None:
    path = write(tensors, tmp_path)
    path.write_bytes(break_it(path.read_bytes()))
    with pytest.raises(WeightsError, match="safetensors"):
        loaded(path)


def test_a_pickle_under_any_name_is_never_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path(tmp_path, "executed").touch, ())

    path = tmp_path / "model.safetensors"
    torch.save({"weights": Trap()}, path)
    with pytest.raises(WeightsError):
        loaded(path)
    assert not (tmp_path / "executed").exists()


def test_random_bytes_in_the_header_never_give_another_error(tensors: Tensors, tmp_path: Path) -> None:
    path = write(tensors, tmp_path)
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        content = bytearray(whole)
        for at in rng.integers(0, 8 + length, 3):
            content[at] = rng.integers(256)
        path.write_bytes(content)
        try:
            loaded(path)
        except WeightsError:
            refused += 1
    assert refused > 50


def test_what_was_saved_is_what_a_plain_reader_reads(tensors: Tensors, tmp_path: Path) -> None:
    path = write(tensors, tmp_path)
    plain, ours = load_file(path), loaded(path).state_dict()
    assert all(torch.equal(plain[name], ours[name]) for name in plain)

"""Dense models whose networks vote: what they mark, and folders whose card and weights don't count the same members."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.images.tiny_models import dense
from wsi.errors import ModelError, WeightsError
from wsi.field import volume_field
from wsi.predict.mask_model import load_mask_model


def voting(folder: Path, *biases: float, members: int | None = None) -> Path:
    """Write a model of members that mark what is bright, each shifted by a bias towards marking all."""
    dense(folder, axes=3)
    one = load_file(folder / "weights.safetensors")
    tensors = {
        f"members.{i}.{name}": tensor + bias * torch.tensor([-1.0, 1.0]) if name == "score.bias" else tensor.clone()
        for i, bias in enumerate(biases)
        for name, tensor in one.items()
    }
    return put(folder, tensors, len(biases) if members is None else members)


def put(folder: Path, tensors: dict[str, Tensor], members: int) -> Path:
    """Replace the weights and the card's number of members; the card vouches for them."""
    path = folder / "weights.safetensors"
    save_file(tensors, path)
    card = yaml.safe_load((folder / "model.yaml").read_text())
    card["network"]["members"] = members
    card["weights_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    card["selftest"]["samples"] = [8**3]
    (folder / "model.yaml").write_text(yaml.safe_dump(card, sort_keys=False))
    return folder


def marked(folder: Path) -> int:
    """Return how many samples are marked of a volume with a bright box of 8 x 8 x 8."""
    values = np.zeros((1, 16, 16, 16), np.float32)
    values[:, 4:12, 4:12, 4:12] = 1.0
    field = volume_field(values, np.eye(4), ("value",))
    return int(load_mask_model(folder, device="cpu").mark(field, field).sum())


def test_two_sober_members_outvote_one_that_marks_all(tmp_path: Path) -> None:
    assert marked(voting(tmp_path / "model", 0.0, 0.0, 50.0)) == 8**3


def test_members_that_mark_all_win_where_they_are_more(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="selftest marks"):
        load_mask_model(voting(tmp_path / "model", 50.0, 50.0, 0.0), device="cpu")


@pytest.mark.parametrize(
    ("members", "error", "told"),
    [
        (3, WeightsError, r"members\.2\.down"),
        (1, WeightsError, "not the weights of the card's network"),
        (0, ModelError, "network.members"),
        (10**9, ModelError, "network.members"),
    ],
)
def test_members_that_the_card_does_not_count_are_refused(
    members: int, error: type[ModelError], told: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=told) as caught:
        load_mask_model(voting(tmp_path / "model", 0.0, 0.0, members=members))
    assert type(caught.value) is error


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_member_with_a_number_that_is_none_is_refused(value: float, tmp_path: Path) -> None:
    folder = voting(tmp_path / "model", 0.0, 0.0)
    tensors: dict[str, Any] = load_file(folder / "weights.safetensors")
    tensors["members.1.score.bias"][0] = value
    with pytest.raises(WeightsError, match=r"members\.1\.score\.bias holds NaN or infinity"):
        load_mask_model(put(folder, tensors, 2))


@pytest.mark.parametrize("shape", [(1, 0, 8, 8), (8, 8)])
def test_example_that_shows_nothing_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    folder = voting(tmp_path / "model", 0.0, 0.0)
    save_file({"image": torch.zeros(shape)}, folder / "selftest.safetensors")
    with pytest.raises(ModelError, match=r"expected one tensor, image \(C, 3 axes\)"):
        load_mask_model(folder, device="cpu")
